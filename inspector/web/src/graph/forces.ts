// Places for a crowd, after Fruchterman and Reingold: all push one another
// off, calls pull together. A few rounds at a time, so that no frame waits.
import type { Edge, GraphNode } from '../api/types'
import { fit, HEIGHT, WIDTH, type Place, type Places } from './layout'

const ROUNDS = 220
/** When most have places already. */
const ROUNDS_MORE = 40

export class Forces {
  private readonly ids: string[]
  private readonly x: Float64Array
  private readonly y: Float64Array
  private readonly dx: Float64Array
  private readonly dy: Float64Array
  /** Who call one another, by index: two numbers a pair. */
  private readonly pairs: number[] = []
  private readonly ideal: number
  private readonly rounds: number
  private readonly heat: number
  private round = 0

  constructor(nodes: readonly GraphNode[], edges: readonly Edge[], before: Places = new Map()) {
    const n = nodes.length
    this.ids = nodes.map((node) => node.id)
    this.x = new Float64Array(n)
    this.y = new Float64Array(n)
    this.dx = new Float64Array(n)
    this.dy = new Float64Array(n)
    this.ideal = 0.55 * Math.sqrt((WIDTH * HEIGHT) / Math.max(1, n))
    const known = this.ids.filter((id) => before.has(id)).length > n / 2
    this.rounds = known ? ROUNDS_MORE : ROUNDS
    this.heat = known ? 12 : 60
    this.begin(before, edges)
  }

  /** What stays keeps its place; who is new stands beside whom it calls, or in a sunflower's spiral. */
  private begin(before: Places, edges: readonly Edge[]): void {
    const at = new Map(this.ids.map((id, i) => [id, i]))
    const near = new Map<string, Place>()
    for (const { from, to } of edges) {
      const [i, j] = [at.get(from), at.get(to)]
      if (i === undefined || j === undefined || i === j) continue
      this.pairs.push(i, j)
      for (const [one, other] of [[from, to], [to, from]] as const) {
        const place = before.get(other)
        if (place && !before.has(one)) near.set(one, place)
      }
    }
    this.ids.forEach((id, i) => {
      const r = Math.sqrt((i + 0.5) / this.ids.length)
      const [cos, sin] = [r * Math.cos(i * 2.39996), r * Math.sin(i * 2.39996)]
      const beside = near.get(id)
      const place = before.get(id) ?? (beside ? { x: beside.x + cos * 40, y: beside.y + sin * 40 } : { x: WIDTH / 2 + cos * WIDTH * 0.45, y: HEIGHT / 2 + sin * HEIGHT * 0.45 })
      this.x[i] = place.x
      this.y[i] = place.y
    })
  }

  /** Goes on for so many rounds at most; true: it is over. */
  advance(rounds: number): boolean {
    for (let i = 0; i < rounds && this.round < this.rounds; i++) {
      this.push()
      this.pull()
      this.move(this.heat * (1 - this.round / this.rounds) + 1)
      this.round++
    }
    return this.round >= this.rounds
  }

  places(): Places {
    return fit(new Map(this.ids.map((id, i) => [id, { x: this.x[i]!, y: this.y[i]! }])), HEIGHT)
  }

  private push(): void {
    const { x, y, dx, dy, ideal } = this
    const n = x.length
    const far = 25 * ideal * ideal
    dx.fill(0)
    dy.fill(0)
    for (let i = 0; i < n; i++) {
      for (let j = i + 1; j < n; j++) {
        const a = x[i]! - x[j]! || (i - j) * 0.01
        const b = y[i]! - y[j]! || 0.01
        const square = a * a + b * b
        if (square > far) continue
        const f = (ideal * ideal) / square
        dx[i]! += a * f
        dy[i]! += b * f
        dx[j]! -= a * f
        dy[j]! -= b * f
      }
    }
  }

  private pull(): void {
    const { x, y, dx, dy, ideal, pairs } = this
    for (let p = 0; p < pairs.length; p += 2) {
      const [i, j] = [pairs[p]!, pairs[p + 1]!]
      const a = x[i]! - x[j]!
      const b = y[i]! - y[j]!
      const f = Math.hypot(a, b) / ideal
      dx[i]! -= a * f
      dy[i]! -= b * f
      dx[j]! += a * f
      dy[j]! += b * f
    }
  }

  private move(heat: number): void {
    const { x, y, dx, dy } = this
    for (let i = 0; i < x.length; i++) {
      // The middle draws a little, so that who calls nobody stays in sight.
      const a = dx[i]! + (WIDTH / 2 - x[i]!) * 0.12
      const b = dy[i]! + (HEIGHT / 2 - y[i]!) * 0.2
      const d = Math.hypot(a, b) || 1
      const step = Math.min(d, heat) / d
      x[i]! += a * step
      y[i]! += b * step
    }
  }
}
