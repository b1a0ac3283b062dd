import { count } from '../state/format'
import { setQuery } from '../state/router'

export function Pager({ offset, limit, total }: { offset: number; limit: number; total: number }) {
  const last = Math.min(offset + limit, total)
  return (
    <nav class="pager" aria-label="Pages">
      <button type="button" disabled={offset === 0} onClick={() => setQuery({ offset: String(Math.max(0, offset - limit)) })}>
        ← Before
      </button>
      <span>
        {total === 0 ? 'none' : `${(offset + 1).toLocaleString('en')} to ${last.toLocaleString('en')} of ${count(total)}`}
      </span>
      <button type="button" disabled={last >= total} onClick={() => setQuery({ offset: String(offset + limit) })}>
        Next →
      </button>
    </nav>
  )
}
