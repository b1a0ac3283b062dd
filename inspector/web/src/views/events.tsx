import type { ClusterEvent, EventBatch } from '../api/types'
import { count, moment, plural } from '../state/format'
import { EVENTS, eventQuery, filterEvents, reduceEvents, type EventFilter } from '../state/reduce'
import { route, setQuery } from '../state/router'
import { events, meta } from '../state/store'
import { NodeLink, ObjectLink } from '../ui/name'
import { Badge, Stack } from '../ui/parts'
import { usePolled } from '../ui/poll'

const KINDS = ['join', 'leave', 'drain', 'lease', 'fenced', 'resumed', 'move', 'panic', 'deadlock', 'slow', 'overloaded', 'client', 'action', 'link']
const SHOWN = 200
/** How many the inspector keeps. */
const KEPT = '10,000'
/** Between two questions for what fits a filter, in ms: what is new comes sooner, with the stream. */
const ASKED = 1000

export function EventList({ events: list }: { events: readonly ClusterEvent[] }) {
  if (list.length === 0) return <p class="empty">Nothing has happened.</p>
  return (
    <ol class="events">
      {list.map((e) => (
        <li key={e.seq}>
          <time dateTime={new Date(e.at).toISOString()}>{moment(e.at)}</time>
          <Badge state={e.level} />
          <span class="kind">{e.kind}</span>
          <div class="what">
            <bdi class="wrap">{e.text}</bdi>
            <div class="muted">
              {e.object !== '' && (
                <span>
                  object <ObjectLink id={e.object} />{' '}
                </span>
              )}
              {e.method !== '' && <span>method {e.method} </span>}
              {e.shard >= 0 && <span>shard {e.shard} </span>}
              {e.node !== '' && (
                <span>
                  node <NodeLink incarnation={e.node} />
                </span>
              )}
            </div>
            <Stack text={e.stack} />
          </div>
        </li>
      ))}
    </ol>
  )
}

/** What fits a filter, oldest first: of what the inspector keeps, which knows more than the page, and of what the page has just been told. */
function useFound(filter: EventFilter, most: number): { found: ClusterEvent[]; asked: boolean; error: string } {
  const { data, error } = usePolled<EventBatch>('events', eventQuery(filter, most), ASKED)
  const found = reduceEvents(data?.events ?? [], { events: filterEvents(events.value, filter), next: 0 })
  return { found: found.slice(-most), asked: data !== null, error }
}

/** The last events that a filter finds, with how many there are if that is wanted. Another filter, or another inspector, is another one of these. */
export function Found({ filter, most = SHOWN, counted = false }: { filter: EventFilter; most?: number; counted?: boolean }) {
  const { found, asked, error } = useFound(filter, most)
  const number = found.length < most ? plural(found.length, 'event') : `The newest ${count(most)} events`
  return (
    <>
      {error !== '' && <p class="notice">▲ {error}</p>}
      {counted && (
        <p class="muted">
          {number} found{asked ? ` among the last ${KEPT}` : ' so far'}, newest first.
        </p>
      )}
      <EventList events={found.reverse()} />
    </>
  )
}

/** What tells one Found from another. */
export const foundKey = (filter: EventFilter): string => JSON.stringify([filter, meta.value?.instance])

function Latest() {
  const all = events.value
  return (
    <>
      <p class="muted">
        {all.length < EVENTS ? plural(all.length, 'event') : `The last ${count(EVENTS)} events`}, newest first
        {all.length > SHOWN && `; the first ${SHOWN} are shown`}. Filters look among the last {KEPT}.
      </p>
      <EventList events={all.slice(-SHOWN).reverse()} />
    </>
  )
}

export function Events() {
  const { kind = '', level = '', text = '' } = route.value.query
  const filter = { kind, level, text }
  return (
    <>
      <h1>Events</h1>
      <form class="filters" onSubmit={(e) => e.preventDefault()}>
        <label>
          Kind
          <select value={kind} onChange={(e) => setQuery({ kind: e.currentTarget.value })}>
            <option value="">all</option>
            {KINDS.map((k) => (
              <option key={k}>{k}</option>
            ))}
          </select>
        </label>
        <label>
          At least
          <select value={level} onChange={(e) => setQuery({ level: e.currentTarget.value })}>
            <option value="">info</option>
            <option>warning</option>
            <option>error</option>
          </select>
        </label>
        <label class="wide">
          Words
          <input type="search" value={text} placeholder="object, node, text" onInput={(e) => setQuery({ text: e.currentTarget.value })} />
        </label>
      </form>
      {kind === '' && level === '' && text === '' ? <Latest /> : <Found key={foundKey(filter)} filter={filter} counted />}
    </>
  )
}
