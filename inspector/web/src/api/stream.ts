import { query } from './http'

/** What a view wants to hear of. Equal subscriptions have equal keys. */
export interface Subscription {
  topics: string[]
  types?: string
  objects?: boolean
  focus?: string
  /** Of types, after the first message only what has changed is wanted. */
  changes?: boolean
}

export type Link = 'connecting' | 'open' | 'reconnecting'

export interface StreamHooks {
  message(topic: string, data: unknown): void
  link(state: Link): void
  /** The stream of this path was refused or broke for good: told before it is tried again. */
  lost(path: string): void
}

const TOPICS = ['hello', 'overview', 'nodes', 'shards', 'types', 'graph', 'events', 'object']
const FIRST_DELAY = 500
const LONGEST_DELAY = 10_000

export function streamPath(wanted: Subscription): string {
  const { topics, types, objects, focus, changes } = wanted
  return `api/stream${query({ topics: topics.join(','), types, objects, focus, changes })}`
}

/**
 * The tab's one event stream. The browser itself connects again after a broken
 * connection (with Last-Event-ID, so that nothing is missed); a refusal, which
 * ends an EventSource for good, is tried again here, ever more slowly.
 */
export class Stream {
  private source: EventSource | null = null
  private path = ''
  private delay = FIRST_DELAY
  private timer: ReturnType<typeof setTimeout> | undefined

  constructor(private readonly hooks: StreamHooks) {}

  /** Follows another view. The same subscription again changes nothing: false. */
  follow(wanted: Subscription): boolean {
    const path = streamPath(wanted)
    if (path === this.path) return false
    this.path = path
    this.delay = FIRST_DELAY
    this.open('connecting')
    return true
  }

  close(): void {
    this.path = ''
    this.rest()
  }

  /** Lets the connection go until `wake`: browsers allow six to a host, for all tabs together. */
  rest(): void {
    clearTimeout(this.timer)
    this.source?.close()
    this.source = null
  }

  /** Connects again after `rest`. */
  wake(): void {
    if (this.path !== '' && this.source === null) this.open('connecting')
  }

  private open(state: Link): void {
    clearTimeout(this.timer)
    this.source?.close()
    this.hooks.link(state)
    const source = new EventSource(this.path)
    this.source = source
    source.onopen = () => {
      this.delay = FIRST_DELAY
      this.hooks.link('open')
    }
    source.onerror = () => {
      if (source !== this.source) return
      this.hooks.link('reconnecting')
      if (source.readyState !== EventSource.CLOSED) return
      this.hooks.lost(this.path)
      this.timer = setTimeout(() => this.open('reconnecting'), this.delay * (0.75 + Math.random() / 2))
      this.delay = Math.min(this.delay * 2, LONGEST_DELAY)
    }
    for (const topic of TOPICS) {
      source.addEventListener(topic, (event) => {
        if (source === this.source) this.hooks.message(topic, JSON.parse((event as MessageEvent<string>).data))
      })
    }
  }
}
