import type { ClusterEvent } from '../api/types'
import { count, moment, plural } from '../state/format'
import { EVENTS, filterEvents } from '../state/reduce'
import { route, setQuery } from '../state/router'
import { events } from '../state/store'
import { NodeLink, ObjectLink } from '../ui/name'
import { Badge, Stack } from '../ui/parts'

const KINDS = ['join', 'leave', 'drain', 'lease', 'fenced', 'resumed', 'move', 'panic', 'deadlock', 'slow', 'overloaded', 'client', 'action', 'link']
const SHOWN = 200

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

export function Events() {
  const { kind = '', level = '', text = '' } = route.value.query
  const found = filterEvents(events.value, { kind, level, text })
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
      <p class="muted">
        {found.length === events.value.length ? plural(found.length, 'event') : `${count(found.length)} of ${plural(events.value.length, 'event')}`}, newest first
        {found.length > SHOWN && `; the first ${SHOWN} are shown`}. The inspector keeps the last {count(EVENTS)}: filters look among those.
      </p>
      <EventList events={found.slice(-SHOWN).reverse()} />
    </>
  )
}
