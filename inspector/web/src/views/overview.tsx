import { bytes, cores, count, micros, millis, plural, rate } from '../state/format'
import { href } from '../state/router'
import { isSilent, momentary } from '../state/node'
import { events, nodes, overview } from '../state/store'
import type { ClusterNode } from '../api/types'
import { Calls, Change, Latency, Population } from '../ui/charts'
import { NodeLink } from '../ui/name'
import { Badge, Empty, Estimates, Figure, Panel, Silence } from '../ui/parts'
import { Table } from '../ui/table'
import { EventList } from './events'

export function OverviewView() {
  const cluster = overview.value
  const now = cluster?.now
  const points = cluster?.history ?? []
  return (
    <>
      <h1>Overview</h1>
      {!cluster && <Empty>Listening…</Empty>}
      {cluster?.state === 'waiting' && (
        <Empty>No node has come up yet. Start a server that uses the same etcd, and it shows here by itself.</Empty>
      )}
      {cluster && now && (
        <>
          <dl class="figures">
            <Figure label="Calls" value={rate(now.calls)} />
            <Figure label="Errors" value={rate(now.errors)} bad={now.errors > 0} />
            <Figure label="Median" value={micros(now.p50)} note={`p99 ${micros(now.p99)}`} />
            <Figure label="Waiting calls" value={count(now.waiting)} />
            <Figure label="Objects" value={count(now.objects)} note={`${rate(now.activations)} activated`} />
            <Figure label="Clients" value={count(now.clients)} note={`${rate(now.pushes)} pushed`} />
            <Figure label="Nodes" value={count(now.nodes)} note={now.fenced > 0 ? `${now.fenced} fenced` : 'none fenced'} bad={now.fenced > 0} />
            <Figure
              label="Unowned shards"
              value={count(cluster.unowned)}
              note={`skew ${cluster.skew.toFixed(2)}×`}
              bad={cluster.unowned > 0}
            />
          </dl>
          <div class="columns">
            <Calls points={points} />
            <Latency points={points} />
            <Population points={points} />
            <Change points={points} />
          </div>
        </>
      )}
      <Panel title="Nodes" aside={<a href={href('nodes')}>All figures</a>}>
        <NodeTable rows={nodes.value ?? []} />
      </Panel>
      <Panel title="Latest events" aside={<a href={href('events')}>All events</a>}>
        <EventList events={events.value.slice(-8).reverse()} />
      </Panel>
      <Estimates sampling={cluster?.sampling} />
    </>
  )
}

/** A node's state, and that it tells nothing: it may hang, though its lease still says that it lives. */
function State({ node }: { node: ClusterNode }) {
  return (
    <>
      <Badge state={node.state} />
      {isSilent(node) && (
        <>
          {' '}
          <Silence ms={node.silent_for} />
        </>
      )}
    </>
  )
}

export function NodeTable({ rows, all }: { rows: ClusterNode[]; all?: boolean }) {
  return (
    <Table
      caption={plural(rows.length, 'node')}
      rows={rows}
      id={(n) => n.incarnation}
      empty="No nodes."
      columns={[
        { head: 'Node', cell: (n) => <NodeLink incarnation={n.incarnation} /> },
        { head: 'State', cell: (n) => <State node={n} /> },
        { head: 'Calls', number: true, cell: (n) => rate(momentary(n).calls) },
        { head: 'Errors', number: true, cell: (n) => rate(momentary(n).errors) },
        { head: 'p99', number: true, cell: (n) => micros(n.p99) },
        { head: 'Objects', number: true, cell: (n) => count(n.objects) },
        { head: 'Clients', number: true, cell: (n) => count(n.clients) },
        { head: 'Shards', number: true, cell: (n) => count(n.shards) },
        { head: 'CPU', number: true, cell: (n) => `${cores(momentary(n).cpu)} of ${n.processors}` },
        { head: 'Memory', number: true, cell: (n) => bytes(n.rss) },
        ...(all
          ? [
              { head: 'Goroutines', number: true, cell: (n: ClusterNode) => count(n.goroutines) },
              { head: 'Waiting', number: true, cell: (n: ClusterNode) => count(momentary(n).waiting) },
              { head: 'Lease', cell: (n: ClusterNode) => `${n.lease}, ${millis(n.valid_for)}` },
              { head: 'Version', cell: (n: ClusterNode) => n.version },
            ]
          : []),
      ]}
    />
  )
}
