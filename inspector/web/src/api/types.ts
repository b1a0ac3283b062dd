// The shapes of docs/inspector-api.md. Names, errors and addresses in them are
// text from strangers: they are shown as text nodes and nothing else.

export interface Meta {
  version: string
  cluster: string
  etcd: string[]
  actions: boolean
  auth: boolean
  instance: string
  now: number
}

/** One second of the cluster. Rates are per second, latencies µs (null: no calls). */
export interface Point {
  t: number
  calls: number
  errors: number
  p50: number | null
  p95: number | null
  p99: number | null
  objects: number
  clients: number
  activations: number
  pushes: number
  moves: number
  fenced: number
  waiting: number
  nodes: number
}

export type ClusterState = 'waiting' | 'live' | 'stale'

export interface Overview {
  state: ClusterState
  message: string
  now: Point | null
  history: Point[]
  sampling: number
  allocator: string
  unowned: number
  skew: number
  /** Members whose figures are not known, and left out. */
  unreachable?: number
}

export type NodeState = 'live' | 'suspect' | 'fenced' | 'draining' | 'stopping' | 'unreachable' | 'gone'

export interface ClusterNode {
  incarnation: string
  address: string
  client_address: string
  version: string
  go_version: string
  pid: number
  started: number
  state: NodeState
  error: string
  cpu: number
  processors: number
  heap: number
  rss: number
  goroutines: number
  objects: number
  clients: number
  shards: number
  busy_shards: number
  lease: string
  valid_for: number
  allocator: boolean
  calls: number
  errors: number
  p50: number | null
  p95: number | null
  p99: number | null
  waiting: number
  activations: number
  pushes: number
  lost_pushes: number
  weight: number
  /** An operator wants it empty, which can be taken back. */
  drain: boolean
  /** Its server is being stopped. */
  stopping: boolean
  seen: number
  /** For how long it has told nothing, ms; 0: it tells. Its figures are as old as that. */
  silent_for: number
  /** The time of its last point. */
  at: number
  /** One in so many calls was looked at: figures of calls are estimates. 1: all were. */
  sampling: number
  history?: NodePoint[]
}

/** One second of a node. */
export interface NodePoint extends Point {
  cpu: number
  heap: number
  rss: number
  goroutines: number
  shards: number
}

/** One second of a method: calls and errors per second, latency µs. */
export interface MethodPoint {
  t: number
  calls: number
  errors: number
  p99: number | null
}

/** Owner index or -1, epoch, phase (0 open, 1 moving, 2 without an owner), target index or -1. */
export type Shard = [owner: number, epoch: number, phase: number, target: number]

export interface Shards {
  count: number
  nodes: string[]
  shards: Shard[]
  skew: number
  unowned: number
  moving: number
}

export interface ShardChanges {
  changed: [number: number, owner: number, epoch: number, phase: number, target: number][]
  nodes: string[]
  skew: number
}

export interface LastError {
  at: number
  code: string
  message: string
  stack: string
  node: string
}

export interface Method {
  name: string
  request: string
  reply: string
  mode: string
  calls: number
  errors: number
  p50: number | null
  p95: number | null
  p99: number | null
  running: number
  total_calls: number
  total_errors: number
  histogram: number[]
  last_error: LastError | null
}

export interface ObjectType {
  name: string
  client: boolean
  objects: number
  calls: number
  errors: number
  methods: Method[]
}

export interface Types {
  types: ObjectType[]
  sampling?: number
}

/** Types that have changed, each with those of its methods that have. */
export interface TypeChanges {
  changed: ObjectType[]
  sampling?: number
}

export interface ObjectRow {
  id: string
  type: string
  node: string
  shard: number
  epoch: number
  phase: string
  running: number
  waiting: number
  calls: number
  time: number
  idle: number
  age: number
}

export interface ObjectPage {
  objects: ObjectRow[]
  total: number
  took_ms: number
  missing: string[]
  /** Those of them that search for others. */
  busy?: string[]
  sampling?: number
}

export interface Turn {
  id: number | string
  method: string
  caller: string
  at: number
  waited: number
  ran: number | null
  /** It waits for its turn. Absent: it does not. */
  waits?: boolean
  code: string
}

export interface Edge {
  from: string
  to: string
  calls: number
  errors: number
  push: boolean
  mean: number
}

/** Why something is not told: too much is watched at the same time. */
export interface Refusal {
  code: string
  message: string
}

export interface Detail {
  /** False: no node has said anything of it yet; object is null then. Absent: true. */
  known?: boolean
  object: ObjectRow | null
  shard: number
  owner: string
  epoch: number
  idle_timeout: number
  turns: Turn[]
  callers: Edge[]
  callees: Edge[]
  history: { at: number; node: string; epoch: number; what: string }[]
  sampling?: number
  /** Absent: it is watched. */
  error?: Refusal
}

export interface Client {
  object: string
  node: string
  connected: number
  kind: string
  calls: number
  queued: number
  queued_bytes: number
  pushes: number
  peer: string
}

export interface ClientPage {
  clients: Client[]
  total: number
  missing: string[]
}

export interface GraphNode {
  id: string
  type: string
  kind: 'type' | 'object' | 'client' | 'outside' | 'more'
  objects: number
  calls: number
}

export interface Graph {
  level: 'types' | 'objects'
  nodes: GraphNode[]
  edges: Edge[]
  more: number
  sampling?: number
  /** Absent: it is watched. */
  error?: Refusal
}

export interface ClusterEvent {
  seq: number
  at: number
  kind: string
  level: 'info' | 'warning' | 'error'
  text: string
  node: string
  object: string
  method: string
  shard: number
  stack: string
}

export interface EventBatch {
  events: ClusterEvent[]
  next: number
}

export interface FormField {
  name: string
  json: string
  kind: string
  repeated: boolean
  map: boolean
  key: string
  message: string
  enum: string[] | null
  oneof: string
  /** Its empty value can be sent, and is not the same as none. */
  presence: boolean
}

export interface FormMessage {
  name: string
  fields: FormField[]
}

export interface CallForm {
  request: FormMessage
  reply: string
  messages: Record<string, FormMessage>
}

/** What a call by a form came to: it was executed in any case. */
export interface CallAnswer {
  reply: unknown
  took: number
  /** Why the reply cannot be shown. Absent: it can. */
  problem?: string
  /** The reply's bytes then, in base64. */
  raw?: string
}
