// The charts that views share.
import type { Point } from '../api/types'
import { count, micros, rate } from '../state/format'
import { Chart, type Series } from './chart'
import { Panel } from './parts'

type Format = (n: number | null | undefined) => string

/** A chart, always the same, of whatever points. */
function chart(panel: string, title: string, format: Format, series: Series[]) {
  return ({ points }: { points: readonly Point[] }) => (
    <Panel title={panel}>
      <Chart title={title} points={points} format={format} series={series} />
    </Panel>
  )
}

export const Calls = chart('Calls', 'Calls and errors', rate, [
  { label: 'calls', value: (p) => p.calls },
  { label: 'errors', value: (p) => p.errors },
])

export const Latency = chart('Latency', 'Latency', micros, [
  { label: 'p50', value: (p) => p.p50 },
  { label: 'p95', value: (p) => p.p95 },
  { label: 'p99', value: (p) => p.p99 },
])

export const Population = chart('Objects and clients', 'Objects and clients', count, [
  { label: 'objects', value: (p) => p.objects },
  { label: 'clients', value: (p) => p.clients },
])

export const Change = chart('Change', 'Change', rate, [
  { label: 'activations', value: (p) => p.activations },
  { label: 'pushes', value: (p) => p.pushes },
  { label: 'shard moves', value: (p) => p.moves },
])
