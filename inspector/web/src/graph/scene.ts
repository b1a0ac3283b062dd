// A crowd in motion: where each stands in this frame, and what of it has to be
// drawn again. Knows nothing of the page.
import type { Graph, GraphNode } from '../api/types'
import { Forces } from './forces'
import { CROWD_HEIGHT, shape, WIDTH, type Place, type Places } from './layout'
import type { Crowd } from './paint'
import { NAMED, radius, seriesOf } from './words'

/** At most so many rounds of forces in one frame: some milliseconds. */
export const ROUNDS_A_FRAME = 20
/** Each frame takes such a part of the way to where somebody is to stand. */
const GLIDE = 0.3
/** How far from a box it is still pointed at, in pixels. */
const REACH = 10

export class Scene {
  private graph: Graph = { level: 'objects', nodes: [], edges: [], more: 0 }
  private form = ''
  private forces: Forces | null = null
  private goal: Places = new Map()
  private drawn = new Map<string, Place>()
  private named: GraphNode[] = []
  private ranked: GraphNode[] = []
  private series = new Map<string, number>()
  private stale = true
  private moving = false
  chosen: string | null = null

  /** still: nothing glides, all stand where they are to stand at once. */
  constructor(private readonly still: () => boolean) {}

  update(graph: Graph): void {
    this.graph = graph
    this.ranked = [...graph.nodes].sort((a, b) => b.calls - a.calls || (a.id < b.id ? -1 : 1))
    this.named = this.ranked.slice(0, NAMED)
    this.series = seriesOf(graph.nodes)
    if (this.chosen !== null && !graph.nodes.some((n) => n.id === this.chosen)) this.chosen = null
    this.stale = true
    const form = shape(graph)
    if (form === this.form) return
    this.form = form
    this.forces = new Forces(graph.nodes, graph.edges, this.goal)
  }

  choose(id: string | null): void {
    this.stale ||= id !== this.chosen
    this.chosen = id
  }

  /** Colours or the size have changed. */
  spoil(): void {
    this.stale = true
  }

  /** Who stands some places further in the order of calls, or nobody in an empty picture. */
  from(id: string | null, by: number): GraphNode | null {
    const at = this.ranked.findIndex((n) => n.id === id)
    const next = at < 0 ? 0 : Math.min(this.ranked.length - 1, Math.max(0, at + by))
    return this.ranked[next] ?? null
  }

  /** Goes one frame further; true: who stands where, or something else that stays, has to be drawn. */
  step(): boolean {
    if (this.forces) {
      const rounds = this.still() ? Infinity : ROUNDS_A_FRAME
      const over = this.forces.advance(rounds)
      this.goal = this.forces.places()
      if (over) this.forces = null
      this.stale = true
    }
    this.moving = this.glide()
    const again = this.stale || this.moving
    this.stale = false
    return again
  }

  /** Nothing changes until something is told or chosen. */
  get settled(): boolean {
    return this.forces === null && !this.stale && !this.moving
  }

  private glide(): boolean {
    let moved = false
    const part = this.still() ? 1 : GLIDE
    const next = new Map<string, Place>()
    for (const [id, goal] of this.goal) {
      const at = this.drawn.get(id) ?? goal
      const far = Math.abs(goal.x - at.x) + Math.abs(goal.y - at.y)
      if (far > 0.5) moved = true
      next.set(id, far > 0.5 ? { x: at.x + (goal.x - at.x) * part, y: at.y + (goal.y - at.y) * part } : goal)
    }
    this.drawn = next
    return moved
  }

  /** What to draw in a picture so many pixels wide. */
  crowd(width: number): Crowd {
    const scale = width / WIDTH
    const places = new Map([...this.drawn].map(([id, p]) => [id, { x: p.x * scale, y: p.y * scale }]))
    return { nodes: this.graph.nodes, edges: this.graph.edges, series: this.series, places, chosen: this.chosen, named: this.whoHasNames(), width, height: CROWD_HEIGHT * scale }
  }

  private whoHasNames(): GraphNode[] {
    if (this.chosen === null) return this.named
    const chosen = this.graph.nodes.find((n) => n.id === this.chosen)
    return chosen ? [chosen, ...this.ranked.filter((n) => n !== chosen)] : this.named
  }

  /** Who is at a point of a picture, if anybody. */
  at(crowd: Crowd, x: number, y: number): GraphNode | null {
    let found: GraphNode | null = null
    let nearest = Infinity
    for (const n of crowd.nodes) {
      const p = crowd.places.get(n.id)
      if (!p) continue
      const d = Math.hypot(p.x - x, p.y - y)
      if (d < nearest && d <= radius(n) + REACH) [found, nearest] = [n, d]
    }
    return found
  }
}
