// Draws the shards' squares, those alone that have changed since.
import type { Shards } from '../api/types'
import { colour, seriesColour } from './theme'

export interface Squares {
  shards: Shards
  order: readonly number[]
  /** The node whose shards stand out, or -1. */
  marked: number
  /** In pixels, with the gap. */
  size: number
  across: number
  /** Shards that have a ring because they moved just now. */
  flashes: ReadonlyMap<number, number>
}

/** A square as a number: equal numbers look alike. */
function look({ shards, marked, flashes }: Squares, shard: number): number {
  const [owner, , phase, target] = shards.shards[shard]!
  const ring = flashes.has(shard) || phase === 1
  const dim = marked >= 0 && owner !== marked
  return ((owner + 1) * 65536 + target + 1) * 8 + (phase === 1 ? 4 : 0) + (dim ? 2 : 0) + (ring ? 1 : 0)
}

/** What a canvas shows. */
export class Painter {
  private seen = new Float64Array(0)

  constructor(private readonly g: CanvasRenderingContext2D) {}

  /** Draws what has changed; gives how many squares that were. */
  paint(squares: Squares): number {
    const { order } = squares
    if (this.seen.length !== order.length) this.seen = new Float64Array(order.length).fill(-1)
    let drawn = 0
    for (let at = 0; at < order.length; at++) {
      const now = look(squares, order[at]!)
      if (this.seen[at] === now) continue
      this.seen[at] = now
      this.square(squares, at, (now & 1) === 1, (now & 2) === 2)
      drawn++
    }
    return drawn
  }

  private square({ shards, order, size, across }: Squares, at: number, ring: boolean, dim: boolean): void {
    const { g } = this
    const [owner, , phase, target] = shards.shards[order[at]!]!
    const x = (at % across) * size
    const y = Math.floor(at / across) * size
    const inner = size - 1
    g.clearRect(x, y, size, size)
    g.globalAlpha = dim ? 0.2 : 1
    if (owner < 0) {
      outline(g, colour('bad'), x, y, inner)
    } else {
      g.fillStyle = seriesColour(owner)
      g.fillRect(x, y, inner, inner)
    }
    if (phase === 1) {
      g.fillStyle = target >= 0 ? seriesColour(target) : colour('text')
      g.beginPath()
      g.moveTo(x + inner, y)
      g.lineTo(x + inner, y + inner)
      g.lineTo(x, y + inner)
      g.fill()
    }
    g.globalAlpha = 1
    if (ring) outline(g, colour('text'), x, y, inner)
  }
}

function outline(g: CanvasRenderingContext2D, ink: string, x: number, y: number, inner: number): void {
  g.strokeStyle = ink
  g.lineWidth = 1
  g.strokeRect(x + 0.5, y + 0.5, inner - 1, inner - 1)
}
