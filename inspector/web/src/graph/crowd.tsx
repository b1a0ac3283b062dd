import type { RefObject } from 'preact'
import { useEffect, useMemo, useRef, useState } from 'preact/hooks'
import type { Graph, GraphNode } from '../api/types'
import { plural, rate } from '../state/format'
import { ObjectLink } from '../ui/name'
import { palette } from '../ui/theme'
import { useWidth } from '../ui/width'
import { CROWD_HEIGHT, WIDTH } from './layout'
import { paint, paintFlow } from './paint'
import { Scene } from './scene'
import { target, title } from './words'

/** Thirty pictures a second are smooth, and leave the other frames to the rest of the page: where there is no graphics card they are dear. In ms. */
const PAUSE = 28

const calm = matchMedia('(prefers-reduced-motion: reduce)')

type Canvas = RefObject<HTMLCanvasElement | null>

/** Draws a scene, what stands still on one canvas and what runs on another; gives how to have it drawn once more. */
function useFrames(scene: Scene, graph: Graph, width: number, still: Canvas, flow: Canvas): () => void {
  const wake = useRef(() => {})
  useEffect(() => {
    scene.update(graph)
    wake.current()
  }, [graph])
  useEffect(() => {
    if (width === 0) return
    const [lower, upper] = [prepare(still.current!, width), prepare(flow.current!, width)]
    scene.spoil()
    let crowd = scene.crowd(width)
    let asked = 0
    let last = -Infinity
    const frame = (now: number) => {
      asked = 0
      if (now - last < PAUSE) return wake.current()
      last = now
      if (scene.step()) {
        crowd = scene.crowd(width)
        paint(lower, crowd)
      }
      paintFlow(upper, calm.matches ? { ...crowd, edges: [] } : crowd, now)
      if (!calm.matches || !scene.settled) wake.current()
    }
    wake.current = () => void (asked ||= requestAnimationFrame(frame))
    wake.current()
    return () => {
      cancelAnimationFrame(asked)
      wake.current = () => {}
    }
  }, [width, palette.value])
  return () => wake.current()
}

/** The graph of many on a canvas. Who is pointed at, or chosen by keys, stands out and is told of above. */
export function CrowdPicture({ graph }: { graph: Graph }) {
  const scene = useMemo(() => new Scene(() => calm.matches), [])
  const [box, width] = useWidth()
  const still = useRef<HTMLCanvasElement>(null)
  const flow = useRef<HTMLCanvasElement>(null)
  const [chosen, setChosen] = useState<string | null>(null)
  const draw = useFrames(scene, graph, width, still, flow)

  const choose = (n: GraphNode | null) => {
    scene.choose(n?.id ?? null)
    setChosen(n?.id ?? null)
    draw()
  }
  const under = (e: MouseEvent) => scene.at(scene.crowd(width), e.offsetX, e.offsetY)
  const click = (e: MouseEvent) => {
    const n = under(e)
    // A finger points first, and opens with the second touch.
    if (n && n.id === chosen) open(n)
    else choose(n)
  }
  const key = (e: KeyboardEvent) => {
    const by = KEYS[e.key]
    if (by !== undefined) choose(scene.from(chosen, by))
    else if (e.key === 'Enter') open(graph.nodes.find((n) => n.id === chosen))
    else if (e.key === 'Escape') choose(null)
    else return
    e.preventDefault()
  }
  return (
    <>
      <Told graph={graph} chosen={chosen} />
      <div class="scroll" role="group" aria-label="Graph" tabIndex={0}>
        <div ref={box} class={chosen === null ? 'crowd' : 'crowd pointing'}>
          <canvas
            ref={still}
            tabIndex={0}
            role="img"
            aria-label={`Who calls whom: ${plural(graph.nodes.length, 'box', 'boxes')}; arrow keys choose one, the busiest first, Enter opens it`}
            aria-describedby="crowd-told"
            onPointerMove={(e) => e.pointerType === 'mouse' && choose(under(e))}
            onPointerLeave={(e) => e.pointerType === 'mouse' && choose(null)}
            onClick={click}
            onKeyDown={key}
          />
          <canvas ref={flow} class="flow" aria-hidden="true" />
        </div>
      </div>
    </>
  )
}

function open(n: GraphNode | undefined): void {
  const link = n && target(n)
  if (link) location.hash = link
}

const KEYS: Record<string, number> = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1, Home: -Infinity, End: Infinity }

function prepare(canvas: HTMLCanvasElement, width: number): CanvasRenderingContext2D {
  const ratio = devicePixelRatio || 1
  const height = Math.round((width * CROWD_HEIGHT) / WIDTH)
  canvas.width = width * ratio
  canvas.height = height * ratio
  canvas.style.width = `${width}px`
  canvas.style.height = `${height}px`
  const g = canvas.getContext('2d')!
  g.scale(ratio, ratio)
  return g
}

function Told({ graph, chosen }: { graph: Graph; chosen: string | null }) {
  const n = graph.nodes.find((node) => node.id === chosen)
  const callers = n ? graph.edges.filter((e) => e.to === n.id) : []
  const callees = n ? graph.edges.filter((e) => e.from === n.id) : []
  const failed = [...callers, ...callees].reduce((sum, e) => sum + e.errors, 0)
  return (
    <p id="crowd-told" class="told" role="status">
      {n ? (
        <>
          {target(n) ? <ObjectLink id={n.id} /> : <b>{title(n)}</b>}: {rate(n.calls)}, called by {callers.length}, calls {callees.length} here
          {failed > 0 && `, ▲ ${rate(failed)} fail`}.
        </>
      ) : (
        'Point at one, or use the arrow keys, for its name and whom it has to do with.'
      )}
    </p>
  )
}
