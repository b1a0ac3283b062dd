import { useEffect, useState } from 'preact/hooks'
import { ActionButton } from '../actions/dialog'
import { get } from '../api/http'
import type { ClusterNode, NodePoint } from '../api/types'
import { addPoint, addSecond } from '../state/reduce'
import { bytes, cores, count, micros, millis, moment, rate } from '../state/format'
import { href, route } from '../state/router'
import { farewell, isSilent, momentary } from '../state/node'
import { nodes } from '../state/store'
import { Calls, CPU, Goroutines, Latency, Memory, Shards } from '../ui/charts'
import { Name } from '../ui/name'
import { Badge, Empty, Estimates, Facts, Figure, Panel } from '../ui/parts'
import { Found, foundKey } from './events'

export function NodeView() {
  const id = route.value.args[0] ?? ''
  const node = nodes.value?.find((n) => n.incarnation === id)
  const [history, setHistory] = useState<NodePoint[]>([])
  const [error, setError] = useState('')
  useEffect(() => {
    const stop = new AbortController()
    get<ClusterNode>(`nodes/${encodeURIComponent(id)}`, {}, stop.signal)
      .then((n) => setHistory((since) => since.reduce(addPoint, n.history ?? [])))
      .catch((err: Error) => stop.signal.aborted || setError(err.message))
    return () => stop.abort()
  }, [id])
  useEffect(() => {
    if (node && node.state !== 'gone') setHistory((old) => addSecond(old, node))
  }, [node])

  if (!node) {
    return (
      <>
        <h1>Node</h1>
        <Empty>{nodes.value ? error || 'This node is not there any more.' : 'Listening…'}</Empty>
      </>
    )
  }
  const now = momentary(node)
  const about = { kind: '', level: '', text: '', node: node.incarnation }
  return (
    <>
      <h1>
        Node <Name text={node.address} /> <Badge state={node.state} />
      </h1>
      {isSilent(node) && (
        <p class="notice" role="status">
          ▲ It has told nothing for {millis(node.silent_for)}: figures are as old as that, those of calls are not known.
        </p>
      )}
      {node.error !== '' && <p class="notice">▲ {node.error}</p>}
      {node.state !== 'gone' && farewell(node) !== '' && <p role="status">{farewell(node)}</p>}
      <Actions node={node} />
      <dl class="figures">
        <Figure label="Calls" value={rate(now.calls)} />
        <Figure label="Errors" value={rate(now.errors)} bad={now.errors !== null && now.errors > 0} />
        <Figure label="Median" value={micros(node.p50)} note={`p99 ${micros(node.p99)}`} />
        <Figure label="Waiting calls" value={count(now.waiting)} />
        <Figure label="CPU" value={cores(now.cpu)} note={`of ${node.processors} cores`} />
        <Figure label="Heap" value={bytes(node.heap)} note={`${bytes(node.rss)} in all`} />
        <Figure label="Goroutines" value={count(node.goroutines)} />
        <Figure label="Lost pushes" value={count(node.lost_pushes)} bad={node.lost_pushes > 0} />
      </dl>
      <Estimates sampling={node.sampling} />
      <div class="columns">
        <Calls points={history} />
        <Latency points={history} />
        <CPU points={history} />
        <Memory points={history} />
        <Goroutines points={history} />
        <Shards points={history} />
      </div>
      <Panel title="About">
        <Facts
          rows={[
            ['Incarnation', <Name text={node.incarnation} />],
            ['For clients', <Name text={node.client_address || 'none'} />],
            ['Version', `${node.version}, ${node.go_version}`],
            ['Process', `${node.pid}, since ${moment(node.started)}`],
            ['Lease', `${node.lease}, valid for ${millis(node.valid_for)}`],
            ['Shards', `${count(node.shards)} open, ${count(node.busy_shards)} being moved, weight ${node.weight}`],
            ['Allocates shards', node.allocator ? 'yes' : 'no'],
            ['Objects', <a href={href('objects', [], { node: node.incarnation })}>{count(node.objects)}</a>],
            ['Clients', count(node.clients)],
            ['Last heard of', moment(node.seen)],
          ]}
        />
      </Panel>
      <Panel title="Events">
        <Found key={foundKey(about)} filter={about} most={20} />
      </Panel>
    </>
  )
}

function Actions({ node }: { node: ClusterNode }) {
  if (node.state === 'gone') return null
  const about = { body: { node: node.incarnation }, confirm: node.incarnation }
  return (
    <div class="buttons">
      {!node.drain && !node.stopping && (
        <ActionButton
          action={{
            title: 'Drain the node',
            explain: 'Its shards move to the other nodes, one after another. The process goes on until it is stopped.',
            name: 'drain',
            done: 'The node drains.',
            ...about,
          }}
        />
      )}
      {node.drain && (
        <ActionButton
          action={{
            title: 'End the drain',
            explain: node.stopping ? 'It is being stopped, and leaves all the same.' : 'The node takes shards again, once it is well.',
            name: 'undrain',
            done: 'The drain ends.',
            ...about,
          }}
        />
      )}
    </div>
  )
}
