// What the page knows. Signals: whoever reads one is drawn again when it changes.
import { computed, effect, signal } from '@preact/signals'
import { ApiError, get, whyRefused } from '../api/http'
import { Stream, type Link, type Subscription } from '../api/stream'
import type * as T from '../api/types'
import { reduceEvents, reduceOverview, reduceShards, reduceTypes } from './reduce'
import { route, type Route } from './router'

export const meta = signal<T.Meta | null>(null)
export const link = signal<Link>('connecting')
export const needsLogin = signal(false)
export const overview = signal<T.Overview | null>(null)
export const nodes = signal<T.ClusterNode[] | null>(null)
export const shards = signal<T.Shards | null>(null)
export const types = signal<T.ObjectType[] | null>(null)
/** How much of what types tell is an estimate. */
export const typesSampling = signal(1)
export const graph = signal<T.Graph | null>(null)
export const events = signal<T.ClusterEvent[]>([])
export const detail = signal<T.Detail | null>(null)

let known: ReadonlyMap<string, string> = new Map()

/** Addresses are what people know nodes by; incarnations name them exactly. The same map as before while nothing has changed: every node's name in the page hangs on it. */
export const addresses = computed(() => {
  const now = new Map((nodes.value ?? []).map((n) => [n.incarnation, n.address]))
  const same = now.size === known.size && [...now].every(([id, address]) => known.get(id) === address)
  if (!same) known = now
  return known
})

/** Why the inspector refuses the stream; empty: it does not, or does not say. */
const refused = signal('')

/** What is wrong, in words; empty when nothing is. */
export const trouble = computed(() => {
  if (link.value === 'reconnecting') {
    return refused.value === '' ? 'Reconnecting to the inspector: what is shown is old.' : `Reconnecting to the inspector, which says: ${refused.value}. What is shown is old.`
  }
  const cluster = overview.value
  if (!cluster) return ''
  if (cluster.state === 'waiting') return cluster.message || 'Waiting for a cluster.'
  if (cluster.state === 'stale') return cluster.message || 'The cluster does not answer: what is shown is old.'
  return ''
})

/** What the figures leave out, in words; empty when they are of all. */
export const incomplete = computed(() => (overview.value?.state === 'live' && trouble.value === '' ? overview.value.message : ''))

/** What a view needs to hear; the overview and the nodes' names are shown everywhere. */
export function subscription(at: Route): Subscription {
  const topics = ['overview', 'nodes']
  switch (at.view) {
    case 'shards':
      return { topics: [...topics, 'shards'] }
    case 'types':
    case 'objects':
      return { topics: [...topics, 'types'], changes: true }
    case 'object':
      return { topics: [...topics, 'types', 'object'], focus: at.args[0] ?? '', changes: true }
    case 'graph': {
      const { types = '', objects = '', focus = '' } = at.query
      return { topics: [...topics, 'graph'], types, objects: objects === '1', focus }
    }
    case 'overview':
    case 'events':
    case 'node':
      return { topics: [...topics, 'events'] }
    default:
      return { topics }
  }
}

function receive(topic: string, data: unknown): void {
  switch (topic) {
    case 'hello': {
      const hello = data as T.Meta
      if (meta.value && meta.value.instance !== hello.instance) events.value = []
      meta.value = hello
      return
    }
    case 'overview':
      overview.value = reduceOverview(overview.value, data as T.Overview | T.Point)
      return
    case 'nodes':
      nodes.value = (data as { nodes: T.ClusterNode[] }).nodes
      return
    case 'shards':
      shards.value = reduceShards(shards.value, data as T.Shards | T.ShardChanges)
      return
    case 'types':
      types.value = reduceTypes(types.value, data as T.Types | T.TypeChanges)
      typesSampling.value = (data as T.Types | T.TypeChanges).sampling ?? 1
      return
    case 'graph':
      graph.value = data as T.Graph
      return
    case 'events':
      events.value = reduceEvents(events.value, data as T.EventBatch)
      return
    case 'object':
      detail.value = data as T.Detail
  }
}

const stream = new Stream({
  message: receive,
  link: (state) => {
    link.value = state
    if (state === 'open') refused.value = ''
  },
  lost: (path) => void askWhy(path),
})

async function askWhy(path: string): Promise<void> {
  await askMeta()
  const why = needsLogin.value ? '' : await whyRefused(path)
  if (link.value === 'reconnecting') refused.value = why
}

async function askMeta(): Promise<void> {
  try {
    meta.value = await get<T.Meta>('meta')
    needsLogin.value = false
  } catch (err) {
    if (err instanceof ApiError && err.status === 401) {
      stream.close()
      needsLogin.value = true
    } else {
      link.value = 'reconnecting'
    }
  }
}

/** Begins to listen, as the view in the address wants it, for as long as the page lives. */
export async function start(): Promise<void> {
  await askMeta()
  followVisibility()
  effect(() => {
    if (needsLogin.value || !stream.follow(subscription(route.value))) return
    // These are about what was looked at before. Now, and not when a view goes: the new stream may be quicker.
    graph.value = null
    detail.value = null
  })
}

/** How long a tab that nobody sees goes on listening, in ms. */
const HIDDEN_FOR = 5000

/** Lets the stream rest while the tab is hidden. */
function followVisibility(): void {
  let timer: ReturnType<typeof setTimeout> | undefined
  document.addEventListener('visibilitychange', () => {
    clearTimeout(timer)
    if (document.visibilityState === 'hidden') timer = setTimeout(() => stream.rest(), HIDDEN_FOR)
    else stream.wake()
  })
}

export { askMeta as signedIn }
