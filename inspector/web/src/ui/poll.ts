import { useEffect, useState } from 'preact/hooks'
import { get, type Query } from '../api/http'

export interface Polled<T> {
  data: T | null
  error: string
}

/** How long to wait after an answer, in ms: soon, or ten times as long as it took, so that what is dear is asked for seldom. */
const SOONEST = 400
const LATEST = 2000

export function rest(took: number): number {
  return Math.min(LATEST, Math.max(SOONEST, 10 * took))
}

/** Key strokes in a search field become one question. */
const QUIET = 150

/** Asks again and again while the view is shown and the tab is visible, one question at a time. */
export function usePolled<T>(path: string, values: Query): Polled<T> {
  const [state, setState] = useState<Polled<T>>({ data: null, error: '' })
  const key = JSON.stringify(values)
  useEffect(() => {
    const stop = new AbortController()
    let timer: ReturnType<typeof setTimeout>
    const ask = async () => {
      const begun = performance.now()
      try {
        if (!document.hidden) setState({ data: await get<T>(path, values, stop.signal), error: '' })
      } catch (err) {
        if (stop.signal.aborted) return
        setState((old) => ({ ...old, error: (err as Error).message }))
      }
      if (!stop.signal.aborted) timer = setTimeout(() => void ask(), rest(performance.now() - begun))
    }
    timer = setTimeout(() => void ask(), QUIET)
    return () => {
      stop.abort()
      clearTimeout(timer)
    }
  }, [path, key])
  return state
}
