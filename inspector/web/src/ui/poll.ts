import { useEffect, useState } from 'preact/hooks'
import { get, type Query } from '../api/http'

export interface Polled<T> {
  data: T | null
  error: string
}

/** The bounds of the pause after an answer, in ms. */
const SOONEST = 400
const LATEST = 2000
/** So many answers are looked at: one that came late because a machine was busy says little. */
const LOOKED_AT = 4

/** How long to wait, in ms, after answers that took so long: ten times the quickest of the last, so that what is dear is asked for seldom. `soonest`: what does not change more often. */
export function rest(took: readonly number[], soonest = SOONEST): number {
  return Math.min(LATEST, Math.max(soonest, 10 * Math.min(...took.slice(-LOOKED_AT))))
}

/** Key strokes in a search field become one question. */
const QUIET = 150

/** Asks again and again while the view is shown and the tab is visible, one question at a time. */
export function usePolled<T>(path: string, values: Query, soonest = SOONEST): Polled<T> {
  const [state, setState] = useState<Polled<T>>({ data: null, error: '' })
  const key = JSON.stringify(values)
  useEffect(() => {
    const stop = new AbortController()
    const took: number[] = []
    let timer: ReturnType<typeof setTimeout>
    const ask = async () => {
      const begun = performance.now()
      try {
        if (!document.hidden) setState({ data: await get<T>(path, values, stop.signal), error: '' })
      } catch (err) {
        if (stop.signal.aborted) return
        setState((old) => ({ ...old, error: (err as Error).message }))
      }
      if (stop.signal.aborted) return
      took.splice(0, took.length - LOOKED_AT + 1)
      took.push(performance.now() - begun)
      timer = setTimeout(() => void ask(), rest(took, soonest))
    }
    timer = setTimeout(() => void ask(), QUIET)
    return () => {
      stop.abort()
      clearTimeout(timer)
    }
  }, [path, key])
  return state
}
