import { useEffect, useRef, useState } from 'preact/hooks'
import uPlot from 'uplot'
import { bytes, clock } from '../state/format'
import { colour, palette, seriesColour } from './theme'
import { Table } from './table'

/** What is drawn: a second each. */
export interface Moment {
  t: number
}

export interface Series<P extends Moment> {
  label: string
  value: (p: P) => number | null
}

interface Props<P extends Moment> {
  title: string
  points: readonly P[]
  series: Series<P>[]
  format: (n: number | null | undefined) => string
  /** How far back the points go, in words. */
  span?: string
}

const HEIGHT = 160
/** Sizes are marked where they are whole KiB, MiB or GiB. */
const DOUBLED = Array.from({ length: 50 }, (_, i) => 2 ** i)
// Lines differ by their dashes as well as by their colours.
const DASHES = [[], [6, 4], [2, 3]]

function data<P extends Moment>(points: readonly P[], series: Series<P>[]): uPlot.AlignedData {
  return [points.map((p) => p.t), ...series.map((s) => points.map(s.value))] as uPlot.AlignedData
}

function axis(): Partial<uPlot.Axis> {
  return {
    stroke: () => colour('muted'),
    grid: { stroke: () => colour('line'), width: 1 },
    ticks: { stroke: () => colour('line'), width: 1, size: 4 },
    font: '11px system-ui, sans-serif',
  }
}

function options<P extends Moment>(width: number, { series, format }: Props<P>): uPlot.Options {
  return {
    width,
    height: HEIGHT,
    ms: 1,
    title: '',
    cursor: { points: { size: 6 }, drag: { x: false, y: false } },
    legend: { show: false },
    scales: { y: { range: (_, __, max) => [0, max > 0 ? max * 1.1 : 1] } },
    axes: [
      { ...axis(), space: 72, size: 28, values: (_, ticks) => ticks.map(clock) },
      { ...axis(), size: 64, ...(format === bytes ? { incrs: DOUBLED } : {}), values: (_, ticks) => ticks.map((t) => format(t)) },
    ],
    series: [
      {},
      ...series.map((s, i) => ({
        label: s.label,
        stroke: () => seriesColour(i),
        width: 1.75,
        dash: DASHES[i % DASHES.length]!,
        points: { show: false },
        spanGaps: true,
      })),
    ],
  }
}

/** A chart of seconds, with its values as text and as a table. */
export function Chart<P extends Moment>(props: Props<P>) {
  const { title, points, series, format, span = 'ten minutes' } = props
  const box = useRef<HTMLDivElement>(null)
  const plot = useRef<uPlot | null>(null)
  const [at, setAt] = useState<number | null>(null)
  const [open, setOpen] = useState(false)

  useEffect(() => {
    const element = box.current!
    const made = new uPlot(options(element.clientWidth, props), data(points, series), element)
    made.hooks['setCursor'] = [(u) => setAt(u.cursor.idx ?? null)]
    plot.current = made
    const watcher = new ResizeObserver(() => made.setSize({ width: element.clientWidth, height: HEIGHT }))
    watcher.observe(element)
    return () => {
      watcher.disconnect()
      made.destroy()
    }
  }, [])
  useEffect(() => plot.current?.setData(data(points, series)), [points])
  useEffect(() => plot.current?.redraw(false), [palette.value])

  const shown = at !== null ? points[at] : points[points.length - 1]
  return (
    <figure class="chart">
      <figcaption>
        <span class="legend">
          {series.map((s, i) => (
            <span key={s.label}>
              <svg class={`swatch series-${i + 1}`} width="20" height="8" aria-hidden="true">
                <line x1="0" y1="4" x2="20" y2="4" stroke-width="2" stroke-dasharray={DASHES[i % DASHES.length]!.join(' ')} />
              </svg>{' '}
              {s.label} <b>{format(shown && s.value(shown))}</b>
            </span>
          ))}
        </span>
      </figcaption>
      <div ref={box} class="plot" role="img" aria-label={`${title}, the last ${span}; the table below has the values`} />
      <details onToggle={(e) => setOpen(e.currentTarget.open)}>
        <summary>{title} as a table</summary>
        {open && (
          <Table
            caption={`${title} by second`}
            rows={points.slice(-60).reverse()}
            id={(p) => p.t}
            empty="Nothing yet."
            columns={[
              { head: 'Time', cell: (p) => clock(p.t) },
              ...series.map((s) => ({ head: s.label, number: true, cell: (p: P) => format(s.value(p)) })),
            ]}
          />
        )}
      </details>
    </figure>
  )
}
