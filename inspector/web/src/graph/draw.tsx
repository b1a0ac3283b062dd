import { useMemo } from 'preact/hooks'
import type { Edge, Graph, GraphNode } from '../api/types'
import { plural, rate } from '../state/format'
import { shorten } from '../ui/name'
import { useWidth } from '../ui/width'
import { height, layered, NARROW, shape, upright, WIDTH, type Place, type Places } from './layout'
import { isolated, seriesOf, target, title } from './words'

/** So many edges have their rates beside them. */
const RATED = 24

function radius(n: GraphNode): number {
  return 10 + Math.min(10, Math.log10(1 + Math.max(n.calls, 0)) * 4)
}

function Shape({ node, r, series }: { node: GraphNode; r: number; series: number }) {
  const look = `series-${series}`
  switch (node.kind) {
    case 'type':
      return <rect class={look} x={-r} y={-r} width={2 * r} height={2 * r} rx="4" />
    case 'client':
      return <path class={look} d={`M0 ${-r * 1.2}L${r * 1.2} 0L0 ${r * 1.2}L${-r * 1.2} 0Z`} />
    case 'object':
      return <circle class={look} r={r} />
    default:
      return <circle class="other" r={r} />
  }
}

function curve(a: Place, b: Place): { d: string; middle: Place } {
  if (a === b) return { d: `M${a.x - 6} ${a.y - 10}C${a.x - 50} ${a.y - 60} ${a.x + 50} ${a.y - 60} ${a.x + 6} ${a.y - 10}`, middle: { x: a.x, y: a.y - 50 } }
  // Bent to the right of its way, so that there and back are two lines.
  const x = (a.x + b.x) / 2 - (b.y - a.y) * 0.16
  const y = (a.y + b.y) / 2 + (b.x - a.x) * 0.16
  return { d: `M${a.x} ${a.y}Q${x} ${y} ${b.x} ${b.y}`, middle: { x: (a.x + 2 * x + b.x) / 4, y: (a.y + 2 * y + b.y) / 4 } }
}

function Line({ edge, places }: { edge: Edge; places: Places }) {
  const a = places.get(edge.from)
  const b = places.get(edge.to)
  if (!a || !b) return null
  const { d } = curve(a, b)
  const width = 1 + Math.min(5, Math.log10(1 + edge.calls) * 1.4)
  const speed = edge.calls >= 100 ? 'fast' : edge.calls >= 1 ? 'some' : 'slow'
  return (
    <g class={`edge${edge.errors > 0 ? ' failed' : ''}${edge.push ? ' push' : ''}`}>
      <path class="line" d={d} stroke-width={width} />
      <path class={`flow ${speed}`} d={d} stroke-width={Math.max(4, width + 1)} />
    </g>
  )
}

function Rate({ edge, places }: { edge: Edge; places: Places }) {
  const a = places.get(edge.from)
  const b = places.get(edge.to)
  if (!a || !b) return null
  const { middle } = curve(a, b)
  return (
    <text class={edge.errors > 0 ? 'rate failed' : 'rate'} x={middle.x} y={middle.y + 4}>
      {edge.errors > 0 ? `▲ ${rate(edge.calls)}, ${rate(edge.errors)} fail` : rate(edge.calls)}
    </text>
  )
}

function Box({ node, place, r, series }: { node: GraphNode; place: Place; r: number; series: number }) {
  const words = title(node)
  const link = target(node)
  const inside = (
    <>
      <title>{`${words}\n${node.type === words ? '' : `${node.type}\n`}${node.kind === 'type' ? `${plural(node.objects, 'object')}\n` : ''}${rate(node.calls)}`}</title>
      <circle class="reach" r={Math.max(12, r + 4)} />
      <Shape node={node} r={r} series={series} />
      <text y={r + 15} class="label">
        {isolated(shorten(words, 24))}
      </text>
      {node.kind === 'type' && (
        <text y={r + 29} class="note">
          {plural(node.objects, 'object')}
        </text>
      )}
    </>
  )
  const transform = `translate(${place.x.toFixed(1)} ${place.y.toFixed(1)})`
  return (
    <g class="box" transform={transform}>
      {link ? (
        <a href={link} aria-label={`${words}, ${rate(node.calls)}`}>
          {inside}
        </a>
      ) : (
        inside
      )}
    </g>
  )
}

/** The graph of a few as a picture of links. Its twin is a table beside it. */
export function Picture({ graph }: { graph: Graph }) {
  const [box, width] = useWidth()
  const level = useMemo(() => layered(graph.nodes, graph.edges), [shape(graph)])
  const narrow = width > 0 && width < NARROW
  const { places, width: wide } = narrow ? upright(level, width) : { places: level, width: WIDTH }
  const series = seriesOf(graph.nodes)
  return (
    <div class="scroll" role="group" aria-label="Graph" tabIndex={0} ref={box}>
      <svg
        class={narrow ? 'graph upright' : 'graph'}
        {...(narrow ? { width: wide } : {})}
        viewBox={`0 0 ${wide} ${height(places)}`}
        role="group"
        aria-label={`Who calls whom: ${plural(graph.nodes.length, 'box', 'boxes')}`}
      >
        {graph.edges.map((e) => (
          <Line key={`${e.from}\n${e.to}\n${e.push}`} edge={e} places={places} />
        ))}
        {graph.edges.length <= RATED && graph.edges.map((e) => <Rate key={`rate ${e.from}\n${e.to}\n${e.push}`} edge={e} places={places} />)}
        {graph.nodes.map((n) => {
          const place = places.get(n.id)
          return place && <Box key={n.id} node={n} place={place} r={radius(n)} series={series.get(n.type) ?? 1} />
        })}
      </svg>
    </div>
  )
}
