// What boxes of the graph are called, and where they lead.
import type { GraphNode } from '../api/types'
import { plural } from '../state/format'
import { href } from '../state/router'

export function title(n: GraphNode): string {
  if (n.kind === 'outside') return 'outside the cluster'
  if (n.kind === 'more') return `${plural(n.objects, 'more', 'more')}`
  return n.id
}

export function target(n: GraphNode): string | null {
  if (n.kind === 'type') return href('graph', [], { types: n.id, objects: '1' })
  if (n.kind === 'object' || n.kind === 'client') return href('object', [n.id])
  return null
}

/** So many of a crowd have their names beside them, at most, while nobody is chosen. */
export const NAMED = 24

/** How big somebody in a crowd is, in pixels. */
export function radius(n: GraphNode): number {
  return 4 + Math.min(6, Math.log10(1 + Math.max(n.calls, 0)) * 2)
}

/** Each type's colour, 1 to 8. */
export function seriesOf(nodes: readonly GraphNode[]): Map<string, number> {
  return new Map([...new Set(nodes.map((n) => n.type))].sort().map((type, i) => [type, (i % 8) + 1]))
}

/** A name that may run the other way is isolated from its neighbours. */
export function isolated(text: string): string {
  return `\u2068${text}\u2069`
}
