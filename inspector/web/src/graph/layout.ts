// Where the graph's boxes stand. Pure and without chance: the same graph is
// always drawn the same, and what stays keeps its place as far as it can.
import type { Edge, Graph, GraphNode } from '../api/types'

export interface Place {
  x: number
  y: number
}
export type Places = ReadonlyMap<string, Place>

export const WIDTH = 1000
export const HEIGHT = 540
const MARGIN = 48
/** How high a crowd's picture is, however many they are. */
export const CROWD_HEIGHT = HEIGHT + 2 * MARGIN
/** Names stand below their boxes and are wider than they. */
const SIDE = 96
/** Up to here callers stand left of whom they call; beyond, they are a crowd, which forces part. */
export const LAYERED = 28
/** Who are a crowd stay one until they are fewer than that, lest the picture go to and fro. */
const FEW = 20

export function crowded(nodes: number, before: boolean): boolean {
  return nodes > (before ? FEW : LAYERED)
}


/** How high the picture is: a row more for each box above another. */
export function height(places: Places): number {
  return MARGIN * 1.4 + Math.max(0, ...[...places.values()].map((p) => p.y))
}

/** What decides places: who is there and who calls whom, not how often. */
export function shape(graph: Graph): string {
  return JSON.stringify([graph.nodes.map((n) => n.id), graph.edges.map((e) => [e.from, e.to])])
}

/** A node's column: one right of the rightmost of its callers; calls that would close a ring do not count. */
export function columns(nodes: readonly GraphNode[], edges: readonly Edge[]): Map<string, number> {
  const out = new Map<string, string[]>(nodes.map((n) => [n.id, []]))
  const callers = new Map<string, number>(nodes.map((n) => [n.id, 0]))
  for (const { from, to, push } of edges) {
    if (from === to || push || !out.has(from) || !out.has(to)) continue
    out.get(from)!.push(to)
    callers.set(to, callers.get(to)! + 1)
  }
  const column = new Map<string, number>()
  const onPath = new Set<string>()
  const visit = (id: string, at: number): void => {
    if (onPath.has(id) || (column.get(id) ?? -1) >= at) return
    column.set(id, at)
    onPath.add(id)
    for (const to of out.get(id)!) visit(to, at + 1)
    onPath.delete(id)
  }
  const first = nodes.filter((n) => n.kind === 'outside' || n.kind === 'client' || callers.get(n.id) === 0)
  for (const n of first) visit(n.id, 0)
  for (const n of nodes) if (!column.has(n.id)) visit(n.id, 0)
  return column
}

/** Places in columns, for at most LAYERED. */
export function layered(nodes: readonly GraphNode[], edges: readonly Edge[]): Places {
  if (nodes.length === 0) return new Map()
  const column = columns(nodes, edges)
  const groups: GraphNode[][] = []
  for (const n of nodes) (groups[column.get(n.id)!] ??= []).push(n)
  const filled = groups.filter((g) => g !== undefined)
  const rows = Math.max(3, ...filled.map((g) => g.length))
  const high = Math.min(HEIGHT, rows * 110)
  const places = new Map<string, Place>()
  filled.forEach((group, i) => {
    const middle = (n: GraphNode): number => {
      const from = edges.filter((e) => e.to === n.id && places.has(e.from)).map((e) => places.get(e.from)!.y)
      return from.length === 0 ? 0 : from.reduce((a, b) => a + b, 0) / from.length
    }
    const sorted = group.map((n) => ({ n, y: middle(n) })).sort((a, b) => a.y - b.y)
    const x = filled.length === 1 ? WIDTH / 2 : SIDE + (i * (WIDTH - 2 * SIDE)) / (filled.length - 1)
    // Boxes alone in their columns are not in one line: lines past them would run through them.
    const shift = group.length < rows ? ((i % 3) - 1) * (high / rows) * 0.7 : 0
    sorted.forEach(({ n }, row) => {
      places.set(n.id, { x, y: MARGIN + ((row + 0.5) * high) / sorted.length + shift })
    })
  })
  return fit(places, high)
}

/** Narrower than this, in pixels, a few stand upright. */
export const NARROW = 560
const FLOOR = 128
const BESIDE = 104

/** Columns become floors from the top down, for narrow windows. A picture is as wide as the window, or as its fullest floor needs. */
export function upright(places: Places, width: number): { places: Places; width: number } {
  const floors = [...new Set([...places.values()].map((p) => p.x))].sort((a, b) => a - b)
  const most = Math.max(1, ...floors.map((x) => [...places.values()].filter((p) => p.x === x).length))
  const wide = Math.max(width, most * BESIDE)
  const across = [...places.values()].map((p) => p.y)
  const [left, right] = [Math.min(...across), Math.max(...across)]
  const scale = right > left ? (wide - 2 * SIDE) / (right - left) : 0
  const turned = [...places].map(([id, p]) => [id, { x: scale === 0 ? wide / 2 : SIDE + (p.y - left) * scale, y: MARGIN + floors.indexOf(p.x) * FLOOR }] as const)
  return { places: new Map(turned), width: wide }
}

/** Moves and shrinks what was laid out, so that it fills the picture to its margins. */
export function fit(places: Places, high: number): Places {
  const all = [...places.values()]
  const left = Math.min(...all.map((p) => p.x))
  const top = Math.min(...all.map((p) => p.y))
  const x = Math.max(...all.map((p) => p.x)) - left
  const y = Math.max(...all.map((p) => p.y)) - top
  const wide = x === 0 ? 0 : (WIDTH - 2 * SIDE) / x
  const tall = y === 0 ? 0 : Math.min(high / y, 1.5)
  return new Map([...places].map(([id, p]) => [id, { x: x === 0 ? WIDTH / 2 : SIDE + (p.x - left) * wide, y: MARGIN + (p.y - top) * tall }]))
}
