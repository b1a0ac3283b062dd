// The charts that views share.
import type { MethodPoint, NodePoint, Point } from '../api/types'
import { bytes, cores, count, micros, rate } from '../state/format'
import { Chart, type Moment, type Series } from './chart'
import { Panel } from './parts'

type Format = (n: number | null | undefined) => string

/** A chart, always the same, of whatever points. */
function chart<P extends Moment>(panel: string, title: string, format: Format, series: Series<P>[], span?: string) {
  return ({ points }: { points: readonly P[] }) => (
    <Panel title={panel}>
      <Chart title={title} points={points} format={format} series={series} {...(span === undefined ? {} : { span })} />
    </Panel>
  )
}

export const Calls = chart<Point>('Calls', 'Calls and errors', rate, [
  { label: 'calls', value: (p) => p.calls },
  { label: 'errors', value: (p) => p.errors },
])

export const Latency = chart<Point>('Latency', 'Latency', micros, [
  { label: 'p50', value: (p) => p.p50 },
  { label: 'p95', value: (p) => p.p95 },
  { label: 'p99', value: (p) => p.p99 },
])

export const Population = chart<Point>('Objects and clients', 'Objects and clients', count, [
  { label: 'objects', value: (p) => p.objects },
  { label: 'clients', value: (p) => p.clients },
])

export const Change = chart<Point>('Change', 'Change', rate, [
  { label: 'activations', value: (p) => p.activations },
  { label: 'pushes', value: (p) => p.pushes },
  { label: 'shard moves', value: (p) => p.moves },
])

export const CPU = chart<NodePoint>('CPU', 'CPU, in cores', cores, [{ label: 'cores in use', value: (p) => p.cpu }])

export const Memory = chart<NodePoint>('Memory', 'Memory', bytes, [
  { label: 'in all (RSS)', value: (p) => p.rss },
  { label: 'heap', value: (p) => p.heap },
])

export const Goroutines = chart<NodePoint>('Goroutines', 'Goroutines', count, [{ label: 'goroutines', value: (p) => p.goroutines }])

export const Shards = chart<NodePoint>('Shards', 'Shards', count, [{ label: 'open shards', value: (p) => p.shards }])

const FIVE = 'five minutes'

export const MethodCalls = chart<MethodPoint>(
  'Calls',
  'Calls and errors',
  rate,
  [
    { label: 'calls', value: (p) => p.calls },
    { label: 'errors', value: (p) => p.errors },
  ],
  FIVE,
)

export const MethodLatency = chart<MethodPoint>('Latency', 'Latency', micros, [{ label: 'p99', value: (p) => p.p99 }], FIVE)
