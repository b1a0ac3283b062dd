import { useMemo, useState } from 'preact/hooks'
import { ActionButton } from '../actions/dialog'
import type { Shards } from '../api/types'
import { count } from '../state/format'
import { shardsByOwner } from '../state/reduce'
import { route, setQuery } from '../state/router'
import { addresses, meta, nodes, shards } from '../state/store'
import { Grid } from '../ui/grid'
import { Name, NodeLink } from '../ui/name'
import { Badge, Empty, Figure, Panel } from '../ui/parts'
import { Table } from '../ui/table'

const PHASES = ['open', 'moving', 'without an owner']
const LISTED = 50

/** Shards by number, or each node's together with those of no owner first. */
export function ordered(all: Shards, byOwner: boolean): number[] {
  const numbers = all.shards.map((_, i) => i)
  return byOwner ? numbers.sort((a, b) => all.shards[a]![0] - all.shards[b]![0] || a - b) : numbers
}

interface Owner {
  n: string
  i: number
}

/** Who owns shards or could; those that left and own none are only in the list because shards name owners by place. */
function present(all: string[], owned: number[]): Owner[] {
  const there = new Set((nodes.value ?? []).filter((n) => n.state !== 'gone').map((n) => n.incarnation))
  return all.map((n, i) => ({ n, i })).filter(({ n, i }) => (owned[i] ?? 0) > 0 || there.has(n))
}

export function ShardsView() {
  const all = shards.value
  const by = route.value.query['by'] ?? ''
  const [selected, select] = useState(0)
  const [marked, mark] = useState(-1)
  const order = useMemo(() => (all ? ordered(all, by === 'node') : []), [by === 'node' ? all : all?.count, by])
  if (!all) {
    return (
      <>
        <h1>Shards</h1>
        <Empty>Listening…</Empty>
      </>
    )
  }
  const owned = shardsByOwner(all.shards, all.nodes.length)
  const shown = present(all.nodes, owned)
  return (
    <>
      <h1>Shards</h1>
      <dl class="figures">
        <Figure label="Shards" value={count(all.count)} />
        <Figure label="Moving" value={count(all.moving)} />
        <Figure label="Without an owner" value={count(all.unowned)} bad={all.unowned > 0} />
        <Figure label="Skew" value={`${all.skew.toFixed(2)}×`} note="busiest node over the mean" />
      </dl>
      <form class="filters" onSubmit={(e) => e.preventDefault()}>
        <label>
          In order of
          <select value={by} onChange={(e) => setQuery({ by: e.currentTarget.value })}>
            <option value="">number</option>
            <option value="node">node</option>
          </select>
        </label>
        <label>
          Shard
          <input
            type="number"
            min="0"
            max={all.count - 1}
            value={selected}
            onInput={(e) => select(Math.min(all.count - 1, Math.max(0, Math.floor(Number(e.currentTarget.value)) || 0)))}
          />
        </label>
      </form>
      <ul class="owners">
        {shown.map(({ n, i }) => (
          <li key={n}>
            <button type="button" aria-pressed={marked === i} onClick={() => mark(marked === i ? -1 : i)}>
              <svg class={`swatch series-${(i % 8) + 1}`} width="12" height="12" aria-hidden="true">
                <rect width="12" height="12" rx="2" />
              </svg>{' '}
              <Name text={addresses.value.get(n) ?? n} most={28} /> {count(owned[i])}
            </button>
          </li>
        ))}
      </ul>
      <Grid shards={all} order={order} marked={marked} selected={selected} onSelect={select} describedBy="shard-told" />
      <Explain all={all} shard={selected} />
      <Twin all={all} owned={owned} shown={shown} />
    </>
  )
}

function Explain({ all, shard }: { all: Shards; shard: number }) {
  const [to, setTo] = useState('')
  const [owner, epoch, phase, target] = all.shards[shard] ?? [-1, 0, 2, -1]
  return (
    <>
      <p id="shard-told" class="told" role="status">
        Shard <b>{shard}</b>: {PHASES[phase] ?? 'unknown'}, epoch {epoch}, {owner < 0 ? 'no owner' : <>owner <NodeLink incarnation={all.nodes[owner] ?? ''} /></>}
        {target >= 0 && (
          <>
            , on its way to <NodeLink incarnation={all.nodes[target] ?? ''} />
          </>
        )}
        .
      </p>
      {meta.value?.actions && (
        <div class="filters">
          <label>
            Move shard {shard} to
            <select value={to} onChange={(e) => setTo(e.currentTarget.value)}>
              <option value="">choose a node</option>
              {(nodes.value ?? []).filter((n) => n.state !== 'gone').map(({ incarnation: n }) => (
                <option key={n} value={n}>
                  {addresses.value.get(n) ?? n}
                </option>
              ))}
            </select>
          </label>
          {to !== '' && (
            <ActionButton
              action={{
                title: `Move shard ${shard}`,
                explain:
                  'Its objects leave memory here and come back at the other node with their next call. The shard is pinned there: balancing leaves it alone until it is moved again, or that node leaves or dies.',
                name: 'move',
                body: { shard, to },
                confirm: String(shard),
                done: `Shard ${shard} has moved.`,
              }}
            />
          )}
        </div>
      )}
    </>
  )
}

/** Each node's shards that are on their way from it and to it. */
function underWay({ shards, nodes }: Shards): [leaving: number[], coming: number[]] {
  const [leaving, coming] = [nodes.map(() => 0), nodes.map(() => 0)]
  for (const [owner, , phase, target] of shards) {
    if (phase === 1 && owner >= 0) leaving[owner]!++
    if (target >= 0) coming[target]!++
  }
  return [leaving, coming]
}

function Twin({ all, owned, shown }: { all: Shards; owned: number[]; shown: Owner[] }) {
  const [leaving, coming] = underWay(all)
  const odd = all.shards.map((s, i) => ({ i, s })).filter(({ s }) => s[2] !== 0)
  const total = all.count - all.unowned
  return (
    <div class="columns">
      <Panel title="By node">
        <Table
          caption="Shards by node"
          rows={shown}
          id={(r) => r.n}
          empty="No nodes."
          columns={[
            { head: 'Node', cell: (r) => <NodeLink incarnation={r.n} /> },
            { head: 'Shards', number: true, cell: (r) => count(owned[r.i]) },
            { head: 'Share', number: true, cell: (r) => (total > 0 ? `${(((owned[r.i] ?? 0) * 100) / total).toFixed(1)} %` : '–') },
            { head: 'Leaving', number: true, cell: (r) => count(leaving[r.i]) },
            { head: 'Coming', number: true, cell: (r) => count(coming[r.i]) },
          ]}
        />
      </Panel>
      <Panel title="Moving or without an owner" aside={odd.length > LISTED ? `the first ${LISTED} of ${odd.length}` : ''}>
        <Table
          caption="Shards that are not open"
          rows={odd.slice(0, LISTED)}
          id={(r) => r.i}
          empty="None: all shards are open."
          columns={[
            { head: 'Shard', number: true, cell: (r) => r.i },
            { head: 'Phase', cell: (r) => <Badge state={PHASES[r.s[2]] ?? 'unknown'} /> },
            { head: 'Epoch', number: true, cell: (r) => r.s[1] },
            { head: 'Owner', cell: (r) => <NodeLink incarnation={all.nodes[r.s[0]] ?? ''} /> },
            { head: 'To', cell: (r) => <NodeLink incarnation={all.nodes[r.s[3]] ?? ''} /> },
          ]}
        />
      </Panel>
    </div>
  )
}
