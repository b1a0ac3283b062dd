import { count, micros } from '../state/format'
import { Table } from './table'
import { useWidth } from './width'

/** Where bucket i begins, µs. */
export function bucketStart(i: number): number {
  return i === 0 ? 0 : 2 ** (i / 4)
}

const HEIGHT = 120
/** Between two marks of the axis, in pixels. */
const MARKS = 80

/** Latencies of the last minute, in buckets that grow by a fourth of a doubling. */
export function Histogram({ counts, label }: { counts: number[]; label: string }) {
  const [box, width] = useWidth()
  const first = Math.max(0, counts.findIndex((c) => c > 0) - 1)
  const buckets = counts.map((n, i) => ({ i, n })).slice(first)
  const most = Math.max(1, ...counts)
  const step = width / Math.max(12, buckets.length)
  const filled = buckets.filter((b) => b.n > 0)
  const marked = Math.max(1, Math.ceil(MARKS / Math.max(1, step)))
  const caption = `Latencies of ${label} in the last minute`
  return (
    <figure class="chart">
      <div ref={box}>
        {width > 0 && (
          <svg class="histogram" width={width} height={HEIGHT + 18} role="img" aria-label={caption}>
            {buckets.map(({ i, n }, at) => {
              const height = (n / most) * HEIGHT
              return (
                <rect key={i} x={at * step + 0.5} y={HEIGHT - height} width={Math.max(1, step - 1)} height={height}>
                  <title>{`${micros(bucketStart(i))} to ${micros(bucketStart(i + 1))}: ${count(n)}`}</title>
                </rect>
              )
            })}
            <line x1="0" x2={width} y1={HEIGHT + 0.5} y2={HEIGHT + 0.5} />
            {buckets
              .filter((_, at) => at % marked === 0 && at * step < width - MARKS / 2)
              .map(({ i }) => (
                <text key={i} x={(i - first) * step} y={HEIGHT + 14}>
                  {micros(bucketStart(i))}
                </text>
              ))}
          </svg>
        )}
      </div>
      <details>
        <summary>Histogram as a table</summary>
        <Table
          caption={caption}
          rows={filled}
          id={(b) => b.i}
          empty="No calls."
          columns={[
            { head: 'From', number: true, cell: (b) => micros(bucketStart(b.i)) },
            { head: 'To', number: true, cell: (b) => micros(bucketStart(b.i + 1)) },
            { head: 'Calls', number: true, cell: (b) => count(b.n) },
          ]}
        />
      </details>
    </figure>
  )
}
