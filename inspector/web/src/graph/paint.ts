// Draws a crowd on a canvas: who, and the calls between them.
import type { Edge, GraphNode } from '../api/types'
import { shorten } from '../ui/name'
import { colour } from '../ui/theme'
import type { Place, Places } from './layout'
import { isolated, NAMED, radius, title } from './words'

/** All that a picture of a crowd shows. Places are in pixels of the picture. */
export interface Crowd {
  nodes: readonly GraphNode[]
  edges: readonly Edge[]
  series: ReadonlyMap<string, number>
  places: Places
  /** Who stands out, with those it has to do with; '': all are alike. */
  chosen: string | null
  /** Who have their names beside them, the first before the others where there is no room for all. */
  named: readonly GraphNode[]
  width: number
  height: number
}

const DIM = 0.16
const FONT = '12px system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", sans-serif'

/** Bent to the right of its way, so that there and back are two lines. */
function bend(a: Place, b: Place): Place {
  return { x: (a.x + b.x) / 2 - (b.y - a.y) * 0.16, y: (a.y + b.y) / 2 + (b.x - a.x) * 0.16 }
}

/** Who has to do with whom was chosen: itself, its callers and whom it calls. */
export function neighbours(edges: readonly Edge[], id: string): Set<string> {
  const all = new Set([id])
  for (const e of edges) {
    if (e.from === id) all.add(e.to)
    if (e.to === id) all.add(e.from)
  }
  return all
}

export function paint(g: CanvasRenderingContext2D, crowd: Crowd): void {
  const { nodes, edges, places, chosen, series } = crowd
  g.clearRect(0, 0, crowd.width, crowd.height)
  const near = chosen === null ? null : neighbours(edges, chosen)
  lines(g, crowd)
  g.setLineDash([])
  for (const n of nodes) {
    const place = places.get(n.id)
    if (!place) continue
    g.globalAlpha = near && !near.has(n.id) ? DIM : 1
    dot(g, n, place, series.get(n.type) ?? 1)
    if (n.id === chosen) ring(g, place, radius(n) + 4)
  }
  g.globalAlpha = 1
  names(g, crowd, near)
}

/** Lines that look alike are drawn at once. */
function lines(g: CanvasRenderingContext2D, { edges, places, chosen }: Crowd): void {
  const alike = new Map<string, Edge[]>()
  for (const e of edges) {
    const dim = chosen !== null && e.from !== chosen && e.to !== chosen
    const look = `${dim} ${e.push} ${e.errors > 0} ${Math.min(4, Math.round(Math.log10(1 + e.calls)))}`
    const others = alike.get(look)
    if (others) others.push(e)
    else alike.set(look, [e])
  }
  const marks: Place[] = []
  for (const group of alike.values()) {
    const [one] = group as [Edge]
    const dim = chosen !== null && one.from !== chosen && one.to !== chosen
    const failed = one.errors > 0
    g.globalAlpha = dim ? DIM / 2 : failed ? 0.9 : 0.45
    g.strokeStyle = colour(failed ? 'bad' : 'muted')
    g.lineWidth = 1 + Math.min(4, Math.round(Math.log10(1 + one.calls)))
    g.setLineDash(one.push ? [4, 4] : [])
    g.beginPath()
    for (const e of group) {
      const middle = way(g, e, places)
      if (middle && failed && !dim) marks.push(middle)
    }
    g.stroke()
  }
  for (const place of marks) mark(g, place)
}

/** An edge's line, as a part of the path; gives its middle. */
function way(g: CanvasRenderingContext2D, e: Edge, places: Places): Place | null {
  const [a, b] = [places.get(e.from), places.get(e.to)]
  if (!a || !b) return null
  g.moveTo(a.x, a.y)
  if (e.from === e.to) {
    g.bezierCurveTo(a.x - 24, a.y - 34, a.x + 24, a.y - 34, a.x, a.y)
    return { x: a.x, y: a.y - 26 }
  }
  const c = bend(a, b)
  g.quadraticCurveTo(c.x, c.y, b.x, b.y)
  return { x: (a.x + b.x) / 4 + c.x / 2, y: (a.y + b.y) / 4 + c.y / 2 }
}

/** A triangle: calls fail here. */
function mark(g: CanvasRenderingContext2D, { x, y }: Place): void {
  g.globalAlpha = 1
  g.fillStyle = colour('bad')
  g.beginPath()
  g.moveTo(x, y - 6)
  g.lineTo(x + 6, y + 5)
  g.lineTo(x - 6, y + 5)
  g.fill()
}

function dot(g: CanvasRenderingContext2D, n: GraphNode, { x, y }: Place, series: number): void {
  const r = radius(n)
  g.beginPath()
  if (n.kind === 'client') {
    g.moveTo(x, y - r * 1.2)
    g.lineTo(x + r * 1.2, y)
    g.lineTo(x, y + r * 1.2)
    g.lineTo(x - r * 1.2, y)
    g.closePath()
  } else if (n.kind === 'type') {
    g.rect(x - r, y - r, 2 * r, 2 * r)
  } else {
    g.arc(x, y, r, 0, 2 * Math.PI)
  }
  const other = n.kind === 'outside' || n.kind === 'more'
  g.fillStyle = other ? colour('panel') : colour(`series-${series}`)
  g.fill()
  g.lineWidth = 1.5
  g.strokeStyle = colour(other ? 'muted' : 'panel')
  g.setLineDash(other ? [3, 3] : [])
  g.stroke()
}

function ring(g: CanvasRenderingContext2D, { x, y }: Place, r: number): void {
  g.setLineDash([])
  g.strokeStyle = colour('text')
  g.lineWidth = 2
  g.beginPath()
  g.arc(x, y, r, 0, 2 * Math.PI)
  g.stroke()
}

interface Box {
  left: number
  right: number
  top: number
  bottom: number
}

const apart = (a: Box, b: Box): boolean => a.right < b.left || b.right < a.left || a.bottom < b.top || b.bottom < a.top

/** Names below their boxes or above; a name that would stand on another is left out. */
function names(g: CanvasRenderingContext2D, { named, places, width, chosen }: Crowd, near: ReadonlySet<string> | null): void {
  g.font = FONT
  g.textAlign = 'center'
  g.textBaseline = 'alphabetic'
  // Names stand on lines and clients, but not on those that have names.
  const taken = named.slice(0, NAMED).flatMap((n): Box[] => {
    const p = places.get(n.id)
    const r = radius(n)
    return p ? [{ left: p.x - r, right: p.x + r, top: p.y - r, bottom: p.y + r }] : []
  })
  for (const n of named) {
    const place = places.get(n.id)
    if (!place || (near && !near.has(n.id))) continue
    const text = isolated(shorten(title(n).replace(/\s/g, ' '), 24))
    const half = g.measureText(text).width / 2
    const x = Math.min(width - half - 4, Math.max(half + 4, place.x))
    const gap = radius(n) + (n.id === chosen ? 6 : 2)
    for (const y of [place.y + gap + 12, place.y - gap - 4]) {
      const box = { left: x - half, right: x + half, top: y - 12, bottom: y + 4 }
      if (taken.some((other) => !apart(box, other))) continue
      taken.push(box)
      g.globalAlpha = 0.85
      g.fillStyle = colour('panel')
      g.fillRect(box.left - 2, box.top, box.right - box.left + 4, box.bottom - box.top)
      g.globalAlpha = 1
      g.fillStyle = colour('text')
      g.fillText(text, x, y)
      break
    }
  }
}

/** Calls under way: a spot runs along each line, sooner where there are more. `now` in ms. */
export function paintFlow(g: CanvasRenderingContext2D, { edges, places, chosen, width, height }: Crowd, now: number): void {
  g.clearRect(0, 0, width, height)
  g.fillStyle = colour('accent')
  edges.forEach((e, i) => {
    if (e.from === e.to || (chosen !== null && e.from !== chosen && e.to !== chosen)) return
    const [a, b] = [places.get(e.from), places.get(e.to)]
    if (!a || !b) return
    const span = e.calls >= 100 ? 900 : e.calls >= 1 ? 1800 : 3600
    const t = ((now + i * 397) % span) / span
    const c = bend(a, b)
    const [u, v, w] = [(1 - t) * (1 - t), 2 * t * (1 - t), t * t]
    g.fillRect(u * a.x + v * c.x + w * b.x - 1.5, u * a.y + v * c.y + w * b.y - 1.5, 3, 3)
  })
}
