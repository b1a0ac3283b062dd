import { useRef, useState } from 'preact/hooks'
import type { Edge, Graph } from '../api/types'
import { CrowdPicture } from '../graph/crowd'
import { Picture } from '../graph/draw'
import { crowded } from '../graph/layout'
import { title } from '../graph/words'
import { millis, rate } from '../state/format'
import { href, route, setQuery } from '../state/router'
import { graph, types } from '../state/store'
import { Name, ObjectLink } from '../ui/name'
import { Empty, Estimates, Refused } from '../ui/parts'
import { Table } from '../ui/table'

export function GraphView() {
  const { types: only = '', objects = '', focus = '' } = route.value.query
  const now = graph.value
  const refused = now?.error
  const single = objects === '1' || focus !== ''
  const names = [...new Set([...(types.value ?? []).map((t) => t.name), ...(now?.nodes ?? []).filter((n) => n.kind !== 'outside' && n.kind !== 'more').map((n) => n.type)])].sort()
  return (
    <>
      <h1>Who calls whom</h1>
      <form class="filters" onSubmit={(e) => e.preventDefault()}>
        <label>
          Show
          <select
            value={single ? '1' : ''}
            onChange={(e) => setQuery({ objects: e.currentTarget.value, focus: '', ...(e.currentTarget.value === '' ? { types: '' } : {}) })}
          >
            <option value="">types</option>
            <option value="1">single objects</option>
          </select>
        </label>
        <label>
          Calls with
          <select value={only} onChange={(e) => setQuery({ types: e.currentTarget.value })}>
            <option value="">all types</option>
            {names.map((name) => (
              <option key={name}>{name}</option>
            ))}
          </select>
        </label>
        {focus !== '' && (
          <p>
            Around <ObjectLink id={focus} most={32} />{' '}
            <button type="button" onClick={() => setQuery({ focus: '' })}>
              Show all
            </button>
          </p>
        )}
        {single && <a href={href('graph')}>← Types</a>}
      </form>
      {!now && <Empty>Listening…</Empty>}
      {refused && <Refused why={refused} />}
      {now && now.nodes.length === 0 && !refused && <Empty>Nobody has called anybody in the last 10 seconds.</Empty>}
      {now && now.nodes.length > 0 && (
        <>
          <Drawing graph={now} />
          <p class="key muted">
            ■ type ● object ◆ client ◌ others. Lines bend to the right of their way; thicker: more calls; dashed: pushes; ▲ and red: errors. The last 10 s
            {now.more > 0 && `; ${rate(now.more)} more are not drawn`}.
          </p>
          <Estimates sampling={now.sampling} />
          <Twin key={now.level} graph={now} />
        </>
      )}
    </>
  )
}

/** A few are drawn one by one, a crowd on a canvas. */
function Drawing({ graph }: { graph: Graph }) {
  const before = useRef(false)
  before.current = crowded(graph.nodes.length, before.current)
  return before.current ? <CrowdPicture graph={graph} /> : <Picture graph={graph} />
}

/** The values of the picture. Those of a crowd are written down when they are asked for. */
function Twin({ graph }: { graph: Graph }) {
  const [open, setOpen] = useState(graph.level === 'types')
  return (
    <section class="panel" aria-label="The same as a table">
      <details open={open} onToggle={(e) => setOpen(e.currentTarget.open)}>
        <summary>The same as a table</summary>
        {open && <Edges edges={graph.edges} names={new Map(graph.nodes.map((n) => [n.id, title(n)]))} level={graph.level} />}
      </details>
    </section>
  )
}

function Edges({ edges, names, level }: { edges: Edge[]; names: Map<string, string>; level: string }) {
  const name = (id: string) =>
    level === 'objects' && id !== '' && names.get(id) === id ? <ObjectLink id={id} most={32} /> : <Name text={names.get(id) ?? id} most={32} />
  return (
    <Table
      caption="Calls of the last 10 seconds"
      rows={[...edges].sort((a, b) => b.calls - a.calls)}
      id={(e) => `${e.from}\n${e.to}\n${e.push}`}
      empty="No calls."
      columns={[
        { head: 'From', cell: (e) => name(e.from) },
        { head: 'To', cell: (e) => name(e.to) },
        { head: 'What', cell: (e) => (e.push ? 'push' : 'call') },
        { head: 'Rate', number: true, cell: (e) => rate(e.calls) },
        { head: 'Errors', number: true, cell: (e) => rate(e.errors) },
        { head: 'Mean', number: true, cell: (e) => (e.push ? '–' : millis(e.mean)) },
      ]}
    />
  )
}
