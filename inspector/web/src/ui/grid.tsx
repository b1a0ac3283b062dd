import { useEffect, useRef } from 'preact/hooks'
import type { Shards } from '../api/types'
import { Painter } from './squares'
import { palette } from './theme'
import { useWidth } from './width'

interface Props {
  shards: Shards
  /** Shard numbers in the order in which they are drawn. */
  order: readonly number[]
  /** The node whose shards stand out, or -1. */
  marked: number
  selected: number
  onSelect: (shard: number) => void
  describedBy: string
}

const AREA = 460
const FLASH = 2000

/** Rows and columns for a width: about as many pixels high as AREA. */
export function measure(width: number, count: number): { size: number; across: number; down: number } {
  const size = Math.max(4, Math.floor(Math.sqrt((width * AREA) / Math.max(1, count))))
  const across = Math.max(1, Math.floor(width / size))
  return { size, across, down: Math.ceil(count / across) }
}

/** Where a key moves the selection to, in places of the order. */
export function moved(key: string, at: number, across: number, count: number): number | null {
  const by: Record<string, number> = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -across, ArrowDown: across }
  if (key === 'Home') return 0
  if (key === 'End') return count - 1
  const step = by[key]
  if (step === undefined) return null
  const next = at + step
  return next < 0 || next >= count ? at : next
}

/** One square for each shard: its owner's colour; moving: half in its target's; no owner: hollow. What just moved has a ring. */
export function Grid({ shards, order, marked, selected, onSelect, describedBy }: Props) {
  const canvas = useRef<HTMLCanvasElement>(null)
  const [box, width] = useWidth()
  const before = useRef<Shards | null>(null)
  const flashes = useRef(new Map<number, number>())
  const { size, across, down } = measure(width || 300, shards.count)

  useEffect(() => {
    const old = before.current
    before.current = shards
    if (!old || old.count !== shards.count) return
    const now = performance.now()
    shards.shards.forEach(([owner], i) => {
      if (old.nodes[old.shards[i]![0]] !== shards.nodes[owner]) flashes.current.set(i, now)
    })
  }, [shards])

  const painter = useRef<Painter | null>(null)
  useEffect(() => {
    if (width === 0) return
    const element = canvas.current!
    const ratio = devicePixelRatio || 1
    element.width = across * size * ratio
    element.height = down * size * ratio
    element.style.width = `${across * size}px`
    element.style.height = `${down * size}px`
    const g = element.getContext('2d')!
    g.scale(ratio, ratio)
    painter.current = new Painter(g)
  }, [width, across, down, size, palette.value])
  useEffect(() => {
    const draw = () => painter.current?.paint({ shards, order, marked, size, across, flashes: flashes.current })
    draw()
    if (flashes.current.size === 0) return
    const timer = setInterval(() => {
      const limit = performance.now() - FLASH
      for (const [i, at] of flashes.current) if (at < limit) flashes.current.delete(i)
      draw()
      if (flashes.current.size === 0) clearInterval(timer)
    }, 250)
    return () => clearInterval(timer)
  }, [shards, order, marked, width, palette.value])

  const chosen = order.indexOf(selected)
  const place = (event: MouseEvent): number | undefined => order[Math.floor(event.offsetY / size) * across + Math.floor(event.offsetX / size)]
  return (
    <div class="grid" ref={box}>
      <canvas
        ref={canvas}
        tabIndex={0}
        role="img"
        aria-label={`${shards.count} shards; arrow keys choose one`}
        aria-describedby={describedBy}
        onMouseMove={(e) => {
          const shard = place(e)
          if (shard !== undefined && shard !== selected) onSelect(shard)
        }}
        onClick={(e) => {
          const shard = place(e)
          if (shard !== undefined) onSelect(shard)
        }}
        onKeyDown={(e) => {
          const next = moved(e.key, order.indexOf(selected), across, order.length)
          if (next === null) return
          e.preventDefault()
          onSelect(order[next]!)
        }}
      />
      {width > 0 && chosen >= 0 && (
        <span
          class="chosen"
          style={{ width: `${size + 1}px`, height: `${size + 1}px`, transform: `translate(${(chosen % across) * size - 1}px, ${Math.floor(chosen / across) * size - 1}px)` }}
        />
      )}
    </div>
  )
}
