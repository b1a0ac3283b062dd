import { describe, expect, it } from 'vitest'
import type { ClusterEvent, ClusterNode, Method, ObjectType, Overview, Point, Shards, Turn } from '../api/types'
import { addPoint, addSecond, EVENTS, eventQuery, filterEvents, HISTORY, ranFor, reduceEvents, reduceOverview, reduceShards, reduceTypes, sortTurns, summarize } from './reduce'

const point = (t: number, calls = 1): Point => ({
  t, calls, errors: 0, p50: null, p95: null, p99: null, objects: 0, clients: 0, activations: 0, pushes: 0, moves: 0, fenced: 0, waiting: 0, nodes: 1,
})
const whole: Overview = { state: 'live', message: '', now: point(2), history: [point(1), point(2)], sampling: 1, allocator: 'a', unowned: 0, skew: 1 }
const event = (seq: number, extra: Partial<ClusterEvent> = {}): ClusterEvent => ({
  seq, at: seq, kind: 'move', level: 'info', text: '', node: '', object: '', method: '', shard: -1, stack: '', ...extra,
})

describe('points', () => {
  it('keeps each second once, the newest of them', () => {
    expect(addPoint([point(1), point(2)], point(2, 9)).map((p) => [p.t, p.calls])).toEqual([[1, 1], [2, 9]])
  })
  it('puts one that comes late in its place, and drops none for it', () => {
    const late = addPoint([point(1), point(3), point(4)], point(2))
    expect(late.map((p) => p.t)).toEqual([1, 2, 3, 4])
    expect(addPoint(late, point(2, 9)).map((p) => [p.t, p.calls])).toEqual([[1, 1], [2, 9], [3, 1], [4, 1]])
  })
  it('keeps ten minutes', () => {
    let history: Point[] = []
    for (let t = 0; t < HISTORY + 5; t++) history = addPoint(history, point(t))
    expect(history).toHaveLength(HISTORY)
    expect(history[0]!.t).toBe(5)
  })
  it('leaves the old state as it was', () => {
    const old = [point(1)]
    addPoint(old, point(2))
    expect(old).toHaveLength(1)
  })
})

describe('a node’s seconds', () => {
  const told = (at: number, cpu = 1) => ({ at, cpu, rss: 7, calls: 2 }) as ClusterNode
  it('are one for each new time, however often the node is told of', () => {
    let history = addSecond([], told(1000))
    history = addSecond(history, told(1000, 5))
    history = addSecond(history, told(2000, 3))
    expect(history.map((p) => [p.t, p.cpu, p.rss, p.calls])).toEqual([[1000, 1, 7, 2], [2000, 3, 7, 2]])
  })
  it('are none before the node has told anything', () => {
    expect(addSecond([], told(0))).toEqual([])
  })
})

describe('overview', () => {
  it('begins whole, then takes points', () => {
    const state = reduceOverview(reduceOverview(null, whole), point(3, 7))!
    expect(state.history.map((p) => p.t)).toEqual([1, 2, 3])
    expect(state.now!.calls).toBe(7)
    expect(state.skew).toBe(1)
  })
  it('keeps its history when only its state changes', () => {
    const { history: _, ...rest } = whole
    const state = reduceOverview(whole, { ...rest, state: 'stale', message: 'etcd does not answer', now: null } as unknown as Overview)!
    expect(state.state).toBe('stale')
    expect(state.history).toHaveLength(2)
  })
  it('is nothing while only a point has come', () => {
    expect(reduceOverview(null, point(1))).toBeNull()
  })
})

describe('shards', () => {
  const known: Shards = { ...summarize([[0, 1, 0, -1], [1, 1, 0, -1], [1, 2, 1, 0], [-1, 3, 2, -1]], ['a', 'b']) }

  it('counts what is odd', () => {
    expect([known.unowned, known.moving, known.count]).toEqual([1, 1, 4])
    expect(known.skew).toBeCloseTo(4 / 3)
  })
  it('applies changes and leaves the rest', () => {
    const next = reduceShards(known, { changed: [[3, 0, 4, 0, -1]], nodes: ['a', 'b'], skew: 1.25 })!
    expect(next.skew).toBe(1.25) // the lists name who has left as well
    expect(next.shards[3]).toEqual([0, 4, 0, -1])
    expect(next.unowned).toBe(0)
    expect(known.shards[3]).toEqual([-1, 3, 2, -1])
  })
  it('follows owners when their list is renumbered', () => {
    const next = reduceShards(known, { changed: [], nodes: ['b', 'c'], skew: 1 })!
    expect(next.shards.map((s) => s[0])).toEqual([-1, 0, 0, -1])
    expect(next.shards[2]![3]).toBe(-1)
  })
  it('takes no number that is not there', () => {
    expect(reduceShards(known, { changed: [[9, 0, 1, 0, -1]], nodes: ['a', 'b'], skew: 1 })!.shards).toHaveLength(4)
  })
  it('is nothing while only changes have come', () => {
    expect(reduceShards(null, { changed: [], nodes: [], skew: 0 })).toBeNull()
  })
})

describe('types', () => {
  const method = (name: string, calls = 0): Method => ({
    name, request: '', reply: '', mode: '', calls, errors: 0, p50: null, p95: null, p99: null, running: 0, total_calls: 0, total_errors: 0, histogram: [], last_error: null,
  })
  const type = (name: string, objects: number, ...methods: Method[]): ObjectType => ({ name, client: false, objects, calls: 0, errors: 0, methods })
  const known = [type('B', 1, method('m'), method('n'))]
  it('are as they have changed, with the methods that have', () => {
    const then = reduceTypes(known, { changed: [type('B', 2, method('n', 7))] })
    expect(then).toEqual([type('B', 2, method('m'), method('n', 7))])
    expect(known).toEqual([type('B', 1, method('m'), method('n'))])
    expect(reduceTypes(then, { changed: [type('B', 3)] })).toEqual([type('B', 3, method('m'), method('n', 7))])
  })
  it('stand by name with those that are new', () => {
    const then = reduceTypes(known, { changed: [type('A', 0, method('x')), type('B', 1, method('a'))] })
    expect(then!.map((t) => [t.name, t.methods.map((m) => m.name)])).toEqual([['A', ['x']], ['B', ['a', 'm', 'n']]])
  })
  it('are all anew where one is gone, and nothing while only changes have come', () => {
    expect(reduceTypes(known, { types: [] })).toEqual([])
    expect(reduceTypes(null, { changed: [type('A', 0)] })).toBeNull()
  })
})

describe('events', () => {
  it('has each once, by number', () => {
    const state = reduceEvents([event(1), event(3)], { events: [event(3), event(2), event(4)], next: 5 })
    expect(state.map((e) => e.seq)).toEqual([1, 2, 3, 4])
  })
  it('keeps the last thousand', () => {
    const many = Array.from({ length: EVENTS + 10 }, (_, i) => event(i))
    const state = reduceEvents([], { events: many, next: 0 })
    expect([state.length, state[0]!.seq]).toEqual([EVENTS, 10])
  })
  it('stands by time where an older one is told later', () => {
    const state = reduceEvents([event(1, { at: 50 }), event(2, { at: 70 })], { events: [event(3, { at: 60 })], next: 3 })
    expect(state.map((e) => e.seq)).toEqual([1, 3, 2])
  })
  it('is asked for as it is filtered', () => {
    expect(eventQuery({ kind: 'panic', level: 'warning', text: 'x', node: 'n' }, 20)).toEqual({ kind: 'panic', level: 'warning,error', text: 'x', node: 'n', limit: 20 })
    expect(eventQuery({ kind: '', level: '', text: '' }, 200)).toEqual({ kind: '', level: '', text: '', node: '', limit: 200 })
  })
  it('is filtered by kind, level and words, whatever their case', () => {
    const all = [event(1), event(2, { level: 'error', kind: 'panic', object: 'Room/Lobby' }), event(3, { level: 'warning', kind: 'slow' })]
    const seqs = (filter: Parameters<typeof filterEvents>[1]) => filterEvents(all, filter).map((e) => e.seq)
    expect(seqs({ kind: '', level: '', text: '' })).toEqual([1, 2, 3])
    expect(seqs({ kind: 'slow', level: '', text: '' })).toEqual([3])
    expect(seqs({ kind: '', level: 'warning', text: '' })).toEqual([2, 3])
    expect(seqs({ kind: '', level: '', text: 'lobby' })).toEqual([2])
    expect([seqs({ kind: '', level: '', text: '', node: 'n' }), filterEvents([event(1, { node: 'n' }), event(2)], { kind: '', level: '', text: '', node: 'n' }).length]).toEqual([[], 1])
  })
})

it('tells for how long a turn has run, also before it ends', () => {
  const turn = (ran: number | null): Turn => ({ id: 1, at: 1000, ran, method: '', caller: '', waited: 200, code: '' })
  expect([ranFor(turn(3), 9000), ranFor(turn(null), 4000), ranFor(turn(null), 900), ranFor({ ...turn(0), waits: true }, 9000)]).toEqual([3, 2800, 0, null])
})

it('tells running turns first, then the latest', () => {
  const turn = (id: number, at: number, ran: number | null): Turn => ({ id, at, ran, method: '', caller: '', waited: 0, code: '' })
  const all = [turn(1, 10, 1), turn(2, 5, null), turn(3, 20, 1), { ...turn(4, 4, 0), waits: true }]
  expect(sortTurns(all).map((t) => t.id)).toEqual([2, 4, 3, 1])
})
