import { ActionButton } from '../actions/dialog'
import { CallPanel } from '../actions/call'
import type { Edge, Turn } from '../api/types'
import { clock, count, millis, moment, rate, typeOf } from '../state/format'
import { ranFor, sortTurns } from '../state/reduce'
import { href, route } from '../state/router'
import { detail, overview, types } from '../state/store'
import { NodeLink, ObjectLink } from '../ui/name'
import { Empty, Estimates, Facts, Panel, Refused } from '../ui/parts'
import { Table } from '../ui/table'

export function ObjectView() {
  const id = route.value.args[0] ?? ''
  const now = detail.value
  const refused = now?.error
  const known = refused ? null : now
  const object = known?.object
  const type = types.value?.find((t) => t.name === typeOf(id))
  return (
    <>
      <h1 class="wrap">
        Object <bdi>{id}</bdi>
      </h1>
      {!now && <Empty>Listening…</Empty>}
      {refused && <Refused why={refused} />}
      {known && !object && (
        <Empty>{known.known === false ? 'No server has said anything of it yet: it may be in memory.' : 'It is not in memory. A call would bring it there.'}</Empty>
      )}
      {object && (
        <div class="buttons">
          <a class="button" href={href('graph', [], { focus: id, objects: '1' })}>
            Its graph
          </a>
          <ActionButton
            action={{
              title: 'Deactivate the object',
              explain: 'It leaves memory after its turn, saving what it saves then. The next call brings it back.',
              name: 'deactivate',
              body: { id },
              confirm: id,
              done: 'The object was deactivated.',
            }}
          />
        </div>
      )}
      {known && (
        <Panel title="About">
          <Facts
            rows={[
              ['Type', <a href={href('objects', [], { type: typeOf(id) })}>{typeOf(id)}</a>],
              ['Node', <NodeLink incarnation={object?.node ?? known.owner} />],
              ['Shard', known.shard < 0 ? 'none: it lives with its client' : `${known.shard}, epoch ${known.epoch}`],
              ['Phase', object?.phase ?? 'not in memory'],
              ['Running turns', count(object?.running)],
              ['Waiting calls', count(object?.waiting)],
              ['Calls', `${count(object?.calls)}, ${millis(object?.time)} in turns`],
              ['Idle for', millis(object?.idle)],
              ['In memory for', millis(object?.age)],
              ['Leaves memory', known.idle_timeout < 0 ? 'never by itself' : `after ${millis(known.idle_timeout)} without calls`],
            ]}
          />
        </Panel>
      )}
      {known && (
        <>
          <Estimates sampling={known.sampling} />
          <Panel title="Turns" aside="running first, then the latest">
            <Turns turns={known.turns} />
          </Panel>
          <div class="columns">
            <Panel title="Called by">
              <Edges edges={known.callers} other={(e) => e.from} caption="Callers" />
            </Panel>
            <Panel title="Calls">
              <Edges edges={known.callees} other={(e) => e.to} caption="Callees" />
            </Panel>
          </div>
          <Panel title="Where it was">
            <Table
              caption="Activations"
              rows={known.history}
              id={(h) => `${h.at} ${h.what} ${h.node}`}
              empty="Nothing was seen."
              columns={[
                { head: 'When', cell: (h) => moment(h.at) },
                { head: 'What', cell: (h) => h.what },
                { head: 'Node', cell: (h) => <NodeLink incarnation={h.node} /> },
                { head: 'Epoch', number: true, cell: (h) => String(h.epoch) },
              ]}
            />
          </Panel>
        </>
      )}
      {type && <CallPanel id={id} type={type} />}
    </>
  )
}

function turnState(t: Turn): string {
  if (t.waits) return '○ waits'
  if (t.ran !== null) return t.code === '' ? 'done' : `■ ${t.code}`
  return '◐ runs'
}

function Turns({ turns }: { turns: Turn[] }) {
  const now = overview.value?.now?.t ?? 0
  return (
    <Table
      caption="Turns"
      rows={sortTurns(turns)}
      id={(t) => t.id}
      empty="No turn was seen since this view is open."
      columns={[
        { head: 'Method', cell: (t) => t.method },
        { head: 'State', cell: turnState },
        { head: 'Caller', cell: (t) => <ObjectLink id={t.caller} /> },
        { head: 'Arrived', cell: (t) => clock(t.at) },
        { head: 'Waited', number: true, cell: (t) => millis(t.waited) },
        { head: 'Ran', number: true, cell: (t) => (t.ran === null && !t.waits ? `${millis(ranFor(t, now))} so far` : millis(ranFor(t, now))) },
      ]}
    />
  )
}

function Edges({ edges, other, caption }: { edges: Edge[]; other: (e: Edge) => string; caption: string }) {
  return (
    <Table
      caption={caption}
      rows={edges}
      id={(e) => `${other(e)} ${e.push}`}
      empty="None in the last minute."
      columns={[
        {
          head: 'Object',
          cell: (e) => (
            <>
              <ObjectLink id={other(e)} most={32} />
              {e.push && <span class="muted"> push</span>}
            </>
          ),
        },
        { head: 'Calls', number: true, cell: (e) => rate(e.calls) },
        { head: 'Errors', number: true, cell: (e) => rate(e.errors) },
        { head: 'Mean', number: true, cell: (e) => millis(e.mean) },
      ]}
    />
  )
}
