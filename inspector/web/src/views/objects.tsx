import type { ObjectPage, ObjectRow } from '../api/types'
import { count, millis } from '../state/format'
import { route, setQuery } from '../state/router'
import { nodes, types } from '../state/store'
import { NodeLink, ObjectLink, shorten } from '../ui/name'
import { Pager } from '../ui/pager'
import { Estimates, Missing } from '../ui/parts'
import { usePolled } from '../ui/poll'
import { Table, type Column } from '../ui/table'

const LIMIT = 50

const COLUMNS: Column<ObjectRow>[] = [
  { head: 'Object', sort: 'id', cell: (o) => <ObjectLink id={o.id} most={40} /> },
  { head: 'Type', cell: (o) => o.type },
  { head: 'Node', cell: (o) => <NodeLink incarnation={o.node} /> },
  { head: 'Phase', cell: (o) => o.phase },
  { head: 'Running', number: true, cell: (o) => count(o.running) },
  { head: 'Waiting', number: true, sort: 'waiting', cell: (o) => count(o.waiting) },
  { head: 'Calls', number: true, sort: 'calls', cell: (o) => count(o.calls) },
  { head: 'Time', number: true, sort: 'time', cell: (o) => millis(o.time) },
  { head: 'Idle', number: true, sort: 'idle', cell: (o) => millis(o.idle) },
  { head: 'Age', number: true, sort: 'age', cell: (o) => millis(o.age) },
]

export function Objects() {
  const { type = '', prefix = '', node = '', busy = '', min_waiting = '', sort = 'calls', offset = '0' } = route.value.query
  const from = Number(offset) || 0
  const { data, error } = usePolled<ObjectPage>('objects', { type, prefix, node, busy: busy === '1', min_waiting, sort, limit: LIMIT, offset: from })
  const set = (values: Record<string, string>) => setQuery({ ...values, offset: '' })
  return (
    <>
      <h1>Objects</h1>
      <form class="filters" role="search" onSubmit={(e) => e.preventDefault()}>
        <label>
          Type
          <select value={type} onChange={(e) => set({ type: e.currentTarget.value })}>
            <option value="">all</option>
            {(types.value ?? []).map((t) => (
              <option key={t.name}>{t.name}</option>
            ))}
          </select>
        </label>
        <label class="wide">
          Name begins with
          <input type="search" dir="auto" value={prefix} onInput={(e) => set({ prefix: e.currentTarget.value })} />
        </label>
        <label>
          Node
          <select value={node} onChange={(e) => set({ node: e.currentTarget.value })}>
            <option value="">all</option>
            {(nodes.value ?? []).map((n) => (
              <option key={n.incarnation} value={n.incarnation}>
                {shorten(n.address, 32)}
              </option>
            ))}
          </select>
        </label>
        <label>
          Waiting calls, at least
          <input type="number" min="0" value={min_waiting} onInput={(e) => set({ min_waiting: e.currentTarget.value })} />
        </label>
        <label class="check">
          <input type="checkbox" checked={busy === '1'} onChange={(e) => set({ busy: e.currentTarget.checked ? '1' : '' })} />
          Busy only
        </label>
      </form>
      {error !== '' && <p class="notice">▲ {error}</p>}
      <Missing nodes={data?.missing ?? []} />
      <Table
        caption="Objects in memory"
        columns={COLUMNS}
        rows={data?.objects ?? []}
        id={(o) => o.id}
        empty={data ? 'No object matches.' : 'Searching…'}
        sort={sort}
        onSort={(s) => set({ sort: s })}
      />
      {data && <Pager offset={from} limit={LIMIT} total={data.total} />}
      {data && <p class="muted">Found in {millis(data.took_ms)}; calls and time since somebody watches.</p>}
      <Estimates sampling={data?.sampling} />
    </>
  )
}
