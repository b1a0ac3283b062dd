// What a message of the stream does to what is known. Pure: state in, state
// out, the old one untouched.
import type { ClusterEvent, ClusterNode, EventBatch, NodePoint, ObjectType, Overview, Point, ShardChanges, Shards, Turn, TypeChanges, Types } from '../api/types'

/** Ten minutes of seconds, as the server keeps. */
export const HISTORY = 600
export const EVENTS = 1000

/** Points by time, each second once, the last HISTORY of them. One that comes late takes its place: no other goes for it. */
export function addPoint<P extends { t: number }>(history: readonly P[], point: P): P[] {
  let at = history.length
  while (at > 0 && history[at - 1]!.t > point.t) at--
  const before = history[at - 1]?.t === point.t ? at - 1 : at
  return [...history.slice(0, before), point, ...history.slice(at)].slice(-HISTORY)
}

/** A node's last second beside those before, where it is a new one: a node is told of more often than once a second, and also while it is silent. */
export function addSecond(history: readonly NodePoint[], n: ClusterNode): NodePoint[] {
  if (n.at <= (history.at(-1)?.t ?? 0)) return history as NodePoint[]
  const { at: t, calls, errors, p50, p95, p99, objects, clients, activations, pushes, waiting, cpu, heap, rss, goroutines, shards } = n
  const point = { t, calls, errors, p50, p95, p99, objects, clients, activations, pushes, waiting, moves: 0, fenced: 0, nodes: 1 }
  return addPoint(history, { ...point, cpu, heap, rss, goroutines, shards })
}

/** The first message is an Overview; then come Points, or an Overview without history when its state changes. */
export function reduceOverview(state: Overview | null, message: Overview | Point): Overview | null {
  if ('state' in message) {
    if (message.history) return message
    if (!state) return { ...(message as Overview), history: message.now ? [message.now] : [] }
    return { ...message, history: message.now ? addPoint(state.history, message.now) : state.history }
  }
  if (!state) return null
  return { ...state, now: message, history: addPoint(state.history, message) }
}

export function isWhole(message: Shards | ShardChanges): message is Shards {
  return 'shards' in message
}

/** Changes name their owners by index into a list that may be newer than the one that is known. */
export function reduceShards(state: Shards | null, message: Shards | ShardChanges): Shards | null {
  if (isWhole(message)) return message
  if (!state) return null
  const index = new Map(message.nodes.map((n, i) => [n, i]))
  const renumber = state.nodes.map((n) => index.get(n) ?? -1)
  const same = state.nodes.length <= message.nodes.length && renumber.every((to, from) => to === from)
  const shards = same
    ? state.shards.slice()
    : state.shards.map(([owner, epoch, phase, target]): Shards['shards'][number] => [
        renumber[owner] ?? -1,
        epoch,
        phase,
        renumber[target] ?? -1,
      ])
  for (const [number, owner, epoch, phase, target] of message.changed) {
    if (number >= 0 && number < shards.length) shards[number] = [owner, epoch, phase, target]
  }
  return { ...summarize(shards, message.nodes), count: state.count, skew: message.skew }
}

/** Skew is the busiest node's shards over the mean of the nodes, where all of them live: who has left keeps a number. */
export function summarize(shards: Shards['shards'], nodes: string[]): Shards {
  const owned = shardsByOwner(shards, nodes.length)
  const total = owned.reduce((a, b) => a + b, 0)
  return {
    count: shards.length,
    nodes,
    shards,
    skew: total === 0 ? 0 : (Math.max(...owned) * nodes.length) / total,
    unowned: shards.filter(([owner]) => owner < 0).length,
    moving: shards.filter(([, , phase]) => phase === 1).length,
  }
}

export function shardsByOwner(shards: Shards['shards'], nodes: number): number[] {
  const counts = new Array<number>(nodes).fill(0)
  for (const [owner] of shards) if (owner >= 0 && owner < nodes) counts[owner]!++
  return counts
}

/** All types at first, and where one is gone; else those that have changed, with only those of their methods that have. */
export function reduceTypes(state: readonly ObjectType[] | null, message: Types | TypeChanges): ObjectType[] | null {
  if ('types' in message) return message.types
  if (!state) return null
  return merged(state, message.changed, (old, now) => ({ ...now, methods: merged(old?.methods ?? [], now.methods, (_, m) => m) }))
}

/** What has names, by name, with some of them as they are now. */
function merged<T extends { name: string }>(all: readonly T[], some: readonly T[], join: (old: T | undefined, now: T) => T): T[] {
  const byName = new Map(all.map((t) => [t.name, t]))
  for (const t of some) byName.set(t.name, join(byName.get(t.name), t))
  return [...byName.values()].sort((a, b) => (a.name < b.name ? -1 : 1))
}

/** Events by time, as the API has them, each number once, the last EVENTS of them. */
export function reduceEvents(state: readonly ClusterEvent[], message: EventBatch): ClusterEvent[] {
  if (message.events.length === 0) return state as ClusterEvent[]
  const bySeq = new Map(state.map((e) => [e.seq, e]))
  for (const event of message.events) bySeq.set(event.seq, event)
  return [...bySeq.values()].sort((a, b) => a.at - b.at || a.seq - b.seq).slice(-EVENTS)
}

export interface EventFilter {
  kind: string
  level: string
  text: string
  /** Its incarnation; absent: of any. */
  node?: string
}

const LEVELS = ['info', 'warning', 'error']

/** The parameters by which the API finds the same events as filterEvents. */
export function eventQuery(filter: EventFilter, limit: number): Record<string, string | number> {
  const least = LEVELS.indexOf(filter.level)
  return { kind: filter.kind, level: least > 0 ? LEVELS.slice(least).join(',') : '', text: filter.text, node: filter.node ?? '', limit }
}

/** Events of a kind, of at least a level, with a text in any of their words. */
export function filterEvents(events: readonly ClusterEvent[], filter: EventFilter): ClusterEvent[] {
  const text = filter.text.toLowerCase()
  const least = LEVELS.indexOf(filter.level)
  return events.filter(
    (e) =>
      (filter.kind === '' || e.kind === filter.kind) &&
      LEVELS.indexOf(e.level) >= least &&
      (!filter.node || e.node === filter.node) &&
      (text === '' || `${e.text}\n${e.object}\n${e.method}\n${e.node}`.toLowerCase().includes(text)),
  )
}

/** Turns that run or wait first, then the latest. */
export function sortTurns(turns: readonly Turn[]): Turn[] {
  return [...turns].sort((a, b) => Number(over(a)) - Number(over(b)) || b.at - a.at)
}

/** For how long a turn has run by a time of the inspector's clock, ms; null: it waits. */
export function ranFor(t: Turn, now: number): number | null {
  if (t.waits) return null
  return t.ran ?? Math.max(0, now - t.at - t.waited)
}

function over(t: Turn): boolean {
  return t.ran !== null && !t.waits
}
