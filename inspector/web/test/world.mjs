// A cluster that never was: three nodes, a chat's types, hostile names. Every
// figure follows from the number of the second, so that each run is the same.

export const HOSTILE = [
  'ChatRoom-<img src=x onerror=alert(1)>',
  'ChatRoom-"quoted\' & </script><script>alert(2)</script>',
  'ChatRoom-\u202eדור שלום עולם',
  `ChatRoom-${'long-'.repeat(48)}z`,
  'ChatRoom-🦊🧵 émoji/with/slashes?and#hash%25',
  'ChatRoom-line\nbreak\ttab',
]

const SHARDS = 8192
const NOW = Date.UTC(2026, 0, 5, 12, 0, 0)

const wave = (t, period, low, high) => low + ((high - low) * (1 + Math.sin((t / period) * 2 * Math.PI))) / 2

export function makeWorld({ nodes = 3, waiting = false } = {}) {
  const world = { crowded: '', tick: 600, nodes: [], shards: [], events: [], waiting, seq: 0, beat: 0, churn: false, sampling: 1 }
  if (!waiting) for (let i = 0; i < nodes; i++) addNode(world)
  let seed = 7
  const random = () => (seed = (seed * 1103515245 + 12345) % 2147483648) / 2147483648
  for (let i = 0; i < SHARDS && !waiting; i++) world.shards.push([Math.floor(random() * nodes), 3 + Math.floor(random() * 4), 0, -1])
  if (!waiting) {
    for (let i = 40; i < 52; i++) world.shards[i] = [0, 5, 1, 1]
    world.shards[700] = [-1, 9, 2, -1]
    addEvent(world, { kind: 'move', text: 'shard 40 moves to 10.0.0.2:7000', shard: 40 })
    addEvent(world, { kind: 'slow', level: 'warning', text: 'a call took 1.2 s', object: HOSTILE[0], method: 'SendChatMessage', shard: 77 })
    addEvent(world, {
      kind: 'panic', level: 'error', text: 'panic: <b>runtime error</b>: index out of range [3] with length 3', object: HOSTILE[1], method: 'Join', shard: 12,
      stack: 'goroutine 71 [running]:\nmain.(*ChatRoom).Join(0xc0000b2000)\n\tsamples/chat/server/room.go:88 +0x1d4\n',
    })
  }
  return world
}

export const now = (world) => NOW + world.tick * 1000

export function addNode(world) {
  const n = world.nodes.length + 1
  const incarnation = `n${n}-5f3a90b${n}`
  world.nodes.push({ incarnation, address: `10.0.0.${n}:7000`, n, silentFor: 0, state: 'live' })
  addEvent(world, { kind: 'join', text: `node 10.0.0.${n}:7000 joins`, node: incarnation })
  return incarnation
}

export function killNode(world, i) {
  const node = world.nodes[i]
  node.state = 'gone'
  addEvent(world, { kind: 'leave', level: 'warning', text: `node ${node.address} is gone: its lease has run out`, node: node.incarnation })
  const changed = []
  world.shards.forEach((s, number) => {
    if (s[0] !== i) return
    world.shards[number] = [(i + 1 + (number % (world.nodes.length - 1))) % world.nodes.length, s[1] + 1, 0, -1]
    changed.push([number, ...world.shards[number]])
  })
  return { changed, nodes: incarnations(world), skew: 1.02 }
}

export function addEvent(world, event) {
  world.seq++
  const whole = { seq: world.seq, at: now(world) - 5000 + world.seq * 100, kind: 'move', level: 'info', text: '', node: world.nodes[0]?.incarnation ?? '', object: '', method: '', shard: -1, stack: '', ...event }
  world.events.push(whole)
  return whole
}

/** The events that fit all filters, the newest last. */
export function findEvents(world, q) {
  const any = (name, value) => !q.get(name) || q.get(name).split(',').includes(value)
  const text = (q.get('text') ?? '').toLowerCase()
  const found = world.events.filter((e) => any('kind', e.kind) && any('level', e.level) && any('node', e.node) && [e.text, e.object, e.method, e.node].some((word) => word.toLowerCase().includes(text)))
  return { events: found.slice(-Number(q.get('limit') ?? 200)), next: world.seq }
}

/** Half a second more of a busy cluster. */
export function hurry(world) {
  world.beat++
  for (let i = 0; i < 8; i++) addEvent(world, { kind: 'slow', level: 'warning', text: `a call took ${world.beat}.${i} s`, object: IDS[(world.beat * 8 + i) % IDS.length], method: 'SendChatMessage' })
  world.events.splice(0, world.events.length - 1000)
}

/** A hundred shards begin to move, those that moved have arrived. */
export function moveSome(world) {
  const changed = []
  for (let i = 0; i < 200; i++) {
    const number = (Math.floor((world.beat - (i < 100 ? 1 : 0)) * 100) + (i % 100)) % world.shards.length
    const [owner, epoch, , target] = world.shards[number]
    const next = (owner + 1) % world.nodes.length
    world.shards[number] = i < 100 ? [target < 0 ? next : target, epoch + 1, 0, -1] : [owner < 0 ? 0 : owner, epoch, 1, next]
    changed.push([number, ...world.shards[number]])
  }
  return { changed, nodes: incarnations(world), skew: 1.02 }
}

export const incarnations = (world) => world.nodes.map((n) => n.incarnation)

export function point(t, world) {
  const live = world.nodes.filter((n) => n.state !== 'gone').length
  const calls = Math.round(wave(t, 97, 8200, 12400) + wave(t, 13, 0, 900))
  return {
    t: NOW + t * 1000, calls, errors: t % 31 === 0 ? 12 : 0, p50: wave(t, 61, 180, 260), p95: wave(t, 71, 700, 1100), p99: wave(t, 43, 1500, 3900),
    objects: Math.round(wave(t, 300, 9000, 10400)), clients: Math.round(wave(t, 211, 410, 480)), activations: Math.round(wave(t, 37, 4, 40)),
    pushes: Math.round(wave(t, 97, 3000, 5200)), moves: t % 120 < 4 ? 6 : 0, fenced: 0, waiting: t % 7, nodes: live,
  }
}

export function overview(world) {
  if (world.waiting) {
    return { state: 'waiting', message: 'Waiting for a cluster: no node has written to etcd at localhost:2379 yet.', now: null, history: [], sampling: 1, allocator: '', unowned: 0, skew: 0 }
  }
  const history = []
  for (let t = world.tick - 599; t <= world.tick; t++) history.push(point(t, world))
  return { state: 'live', message: '', now: history.at(-1), history, sampling: world.sampling, allocator: world.nodes[0].incarnation, unowned: 1, skew: 1.02 }
}

/** What a node's process takes of its machine. */
function machine(t, i) {
  return { cpu: wave(t + i, 50, 0.4, 1.6), heap: wave(t, 23, 170e6, 240e6) + i * 9e6, rss: wave(t, 400, 300e6, 330e6), goroutines: Math.round(wave(t, 80, 380, 440)) + i, shards: 2700 + (t % 120 < 60 ? 12 : 0) }
}

export function node(world, n, i) {
  const p = point(world.tick + i * 5, world)
  const gone = n.state === 'gone'
  return {
    incarnation: n.incarnation, address: n.address, client_address: n.address.replace('7000', '7001'), version: 'v0.9.0', go_version: 'go1.26.1', pid: 4000 + i,
    started: NOW - 3_600_000 * (i + 2), state: n.state, error: gone ? 'connection refused' : '', cpu: gone ? 0 : wave(world.tick + i, 50, 0.4, 1.6), processors: 4, heap: 180e6 + i * 9e6, rss: 320e6,
    goroutines: 412 + i, objects: Math.round(p.objects / 3), clients: Math.round(p.clients / 3), shards: world.shards.filter((s) => s[0] === i).length, busy_shards: i === 0 ? 12 : 0,
    lease: gone ? 'lost' : 'active', valid_for: gone ? -1 : 7400, allocator: i === 0, calls: gone ? 0 : Math.round(p.calls / 3), errors: 0, ...(gone || n.silentFor > 0 ? { p50: null, p95: null, p99: null } : { p50: p.p50, p95: p.p95, p99: p.p99 }), waiting: p.waiting,
    activations: 9, pushes: 1400, lost_pushes: 0, weight: 1, drain: n.drain ?? false, stopping: n.state === 'stopping', seen: now(world), silent_for: n.silentFor, at: n.silentFor > 0 ? now(world) - n.silentFor : now(world), sampling: world.sampling,
  }
}

/** Five minutes of a method. */
export function methodHistory(world) {
  const history = Array.from({ length: 300 }, (_, i) => world.tick - 299 + i).map((t) => {
    const { t: at, calls, errors, p99 } = point(t, world)
    return { t: at, calls: calls / 2, errors, p99: t % 40 === 0 ? null : p99 }
  })
  return { history }
}

/** A node does a third of what all do. */
export function nodeHistory(world, i) {
  return overview(world).history.map((p, t) => ({ ...p, ...point(world.tick - 599 + t + i * 5, world), t: p.t, calls: Math.round(p.calls / 3), ...machine(world.tick - 599 + t, i) }))
}

export function shards(world) {
  return { count: world.shards.length, nodes: incarnations(world), shards: world.shards, skew: 1.02, unowned: world.shards.filter((s) => s[0] < 0).length, moving: world.shards.filter((s) => s[2] === 1).length }
}

function method(name, calls, extra = {}) {
  const histogram = Array.from({ length: 50 }, (_, i) => Math.round(calls * 9 * Math.exp(-(((i - 31) / 4) ** 2)) + (i > 40 ? 3 : 0)))
  return { name, request: `chat.${name}Request`, reply: `chat.${name}Response`, mode: 'exclusive', calls, errors: 0, p50: 210, p95: 870, p99: 2400, running: calls > 100 ? 2 : 0, total_calls: calls * 700, total_errors: 0, histogram, last_error: null, ...extra }
}

export function types(world) {
  if (world.waiting) return []
  const last_error = { at: now(world) - 60_000, code: 'Internal', message: '<script>alert("x")</script> index out of range', stack: world.events.at(-1)?.stack || 'goroutine 71 [running]:\nmain.Join()', node: world.nodes[0].incarnation }
  return [
    { name: 'ChatClient', client: true, objects: 442, calls: 4200, errors: 0, methods: [method('SendChatMessage', 3100), method('JoinChatRoom', 12), method('ListChatRooms', 3)] },
    { name: 'ChatRoom', client: false, objects: 9800, calls: 6100, errors: 1.2, methods: [method('SendChatMessage', 5400), method('Join', 14, { errors: 1.2, total_errors: 84, last_error }), method('GetRecentMessages', 620, { mode: 'shared' })] },
    { name: 'ChatRoomMgr', client: false, objects: 1, calls: 22, errors: 0, methods: [method('List', 22, { mode: 'shared' })] },
  ]
}

/** What changes of the types from one half second to the next: the busiest method of each of two. */
export function busyTypes(world) {
  return types(world).slice(0, 2).map((t) => ({ ...t, objects: t.objects + world.beat, methods: [{ ...t.methods[0], running: 100 + world.beat }] }))
}

const IDS = [...HOSTILE, ...Array.from({ length: 9794 }, (_, i) => `ChatRoom-room-${String(i).padStart(5, '0')}`), 'ChatRoomMgr-ChatRoomMgr0']

export function objectRow(world, id, i) {
  const type = id.slice(0, id.indexOf('-'))
  return { id, type, node: incarnations(world)[i % world.nodes.length], shard: type === 'ChatClient' ? -1 : (i * 37) % SHARDS, epoch: 4, phase: 'live', running: i % 5 === 0 ? 1 : 0, waiting: i % 11 === 0 ? 3 : 0, calls: Math.max(0, 90_000 - i * 9), time: Math.max(0, 40_000 - i * 4), idle: i * 3, age: 600_000 + i }
}

export function search(world, q) {
  if (world.waiting) return { objects: [], total: 0, took_ms: 0.1, missing: [], sampling: 1 }
  const prefix = q.get('prefix') ?? ''
  const found = IDS.map((id, i) => objectRow(world, id, i)).filter(
    (o) => (!q.get('type') || o.type === q.get('type')) && o.id.slice(o.id.indexOf('-') + 1).startsWith(prefix) && (!q.get('node') || o.node === q.get('node')) && (q.get('busy') !== '1' || o.running > 0) && o.waiting >= Number(q.get('min_waiting') ?? 0),
  )
  const sort = q.get('sort') || 'id'
  found.sort((a, b) => (sort === 'id' ? (a.id < b.id ? -1 : 1) : b[sort] - a[sort]))
  const offset = Number(q.get('offset') ?? 0)
  return { objects: found.slice(offset, offset + Number(q.get('limit') ?? 50)), total: found.length, took_ms: 3.2, missing: [], sampling: world.sampling }
}

const refusal = (world) => (world.crowded === '' ? {} : { error: { code: 'ResourceExhausted', message: world.crowded } })

export function detail(world, id) {
  if (world.crowded !== '') return { object: null, shard: 99, owner: '', epoch: 4, idle_timeout: -1, turns: [], callers: [], callees: [], history: [], sampling: 1, ...refusal(world) }
  const at = IDS.indexOf(id)
  const client = id.startsWith('ChatClient-')
  const object = at >= 0 || client ? objectRow(world, id, Math.max(0, at)) : null
  const t = now(world)
  const turn = (i, extra = {}) => ({ id: 1000 + i, method: 'SendChatMessage', caller: `ChatClient-c${i % 9}`, at: t - i * 130, waited: 0.02 * i, ran: 0.2 + (i % 5) / 10, code: '', ...extra })
  return {
    known: id !== 'ChatRoom-nobody-knows', object, shard: object?.shard ?? 99, owner: incarnations(world)[0] ?? '', epoch: 4, idle_timeout: 600_000,
    turns: object ? [turn(0, { ran: null }), { ...turn(20), ran: 0, waits: true }, turn(1, { method: 'Join', code: 'Internal', caller: HOSTILE[0] }), ...Array.from({ length: 12 }, (_, i) => turn(i + 2))] : [],
    callers: object ? [{ from: 'ChatClient-c1', to: id, calls: 14, errors: 0, push: false, mean: 0.4 }, { from: '', to: id, calls: 1, errors: 0, push: false, mean: 1 }] : [],
    callees: object ? [{ from: id, to: 'ChatClient-c1', calls: 14, errors: 0, push: true, mean: 0 }] : [],
    history: [{ at: t - 500_000, node: incarnations(world)[1] ?? '', epoch: 3, what: 'seen' }, { at: t - 300_000, node: incarnations(world)[0] ?? '', epoch: 4, what: 'moved' }],
    sampling: world.sampling,
  }
}

export function clients(world, q) {
  const limit = Number(q.get('limit') ?? 100)
  const offset = Number(q.get('offset') ?? 0)
  const total = world.waiting ? 0 : 442
  const list = Array.from({ length: total }, (_, i) => ({ object: i === 0 ? 'ChatClient-<b>bold</b>' : `ChatClient-c${i}`, node: incarnations(world)[i % 3], connected: NOW - i * 7000, kind: i % 9 === 0 ? 'session, away' : 'session', calls: 9000 - i, queued: i % 10, queued_bytes: (i % 10) * 120, pushes: 20_000 - i, peer: `192.0.2.${i % 250}:50${i}` }))
  return { clients: list.slice(offset, offset + limit), total, missing: [] }
}

export function graph(world, q) {
  if (world.waiting || (world.crowded !== '' && q.get('objects') === '1')) return { level: 'types', nodes: [], edges: [], more: 0, sampling: 1, ...refusal(world) }
  if (q.get('objects') !== '1' && !q.get('focus')) {
    const box = (id, objects, calls) => ({ id, type: id, kind: 'type', objects, calls })
    return {
      level: 'types', more: 0, sampling: world.sampling,
      nodes: [{ id: '', type: '', kind: 'outside', objects: 0, calls: 4200 }, box('ChatClient', 442, 4200), box('ChatRoom', 9800, 6100), box('ChatRoomMgr', 1, 22)],
      edges: [
        { from: '', to: 'ChatClient', calls: 4200, errors: 0, push: false, mean: 0.6 }, { from: 'ChatClient', to: 'ChatRoom', calls: 6100, errors: 1.2, push: false, mean: 0.4 },
        { from: 'ChatClient', to: 'ChatRoomMgr', calls: 3, errors: 0, push: false, mean: 0.2 }, { from: 'ChatRoomMgr', to: 'ChatRoom', calls: 19, errors: 0, push: false, mean: 0.3 },
        { from: 'ChatRoom', to: 'ChatClient', calls: 5100, errors: 0, push: true, mean: 0 },
      ],
    }
  }
  const beat = world.beat
  const rooms = Array.from({ length: q.get('focus') ? 3 : 24 }, (_, i) => ({ id: IDS[i], type: 'ChatRoom', kind: 'object', objects: 1, calls: 400 - i * 10 + (beat % 9) }))
  if (q.get('focus')) rooms[0].id = q.get('focus')
  // In a busy cluster some of the callers are others each time.
  const first = world.churn ? beat * 17 : 0
  const callers = Array.from({ length: q.get('focus') ? 6 : 170 }, (_, i) => ({ id: `ChatClient-c${first + i}`, type: 'ChatClient', kind: 'client', objects: 1, calls: 20 }))
  const edges = callers.flatMap((c, i) => {
    const to = rooms[((first + i) * (first + i)) % rooms.length].id
    return [{ from: c.id, to, calls: 1 + ((i + beat) % 20), errors: i === 5 ? 1 : 0, push: false, mean: 0.5 }, { from: to, to: c.id, calls: 5, errors: 0, push: true, mean: 0 }]
  })
  return { level: 'objects', nodes: [...rooms, ...callers, { id: 'more', type: '', kind: 'more', objects: 9606, calls: 30 }], edges, more: 30, sampling: world.sampling }
}

export const FORM = {
  request: { name: 'chat.SendChatMessageRequest', fields: [
    field('message', 'string'), field('times', 'int32'), field('at', 'int64'), field('loud', 'bool'), field('mood', 'enum', { enum: ['CALM', 'CROSS'] }),
    field('tags', 'string', { repeated: true }), field('author', 'message', { message: 'chat.Author', presence: true }), field('attributes', 'string', { map: true, key: 'string' }),
    field('text_body', 'string', { oneof: 'body', presence: true }), field('binary_body', 'bytes', { oneof: 'body', presence: true }),
    field('nickname', 'string', { presence: true }), field('most', 'int32', { presence: true }), field('quiet', 'bool', { presence: true }),
  ] },
  reply: 'chat.SendChatMessageResponse',
  messages: { 'chat.Author': { name: 'chat.Author', fields: [field('name', 'string'), field('parent', 'message', { message: 'chat.Author', presence: true })] } },
}

function field(name, kind, extra = {}) {
  return { name, json: name.replace(/_(.)/g, (_, c) => c.toUpperCase()), kind, repeated: false, map: false, key: '', message: '', enum: null, oneof: '', presence: false, ...extra }
}
