import { describe, expect, it } from 'vitest'
import { graph, makeWorld } from '../../test/world.mjs'
import type { Graph } from '../api/types'
import { Forces } from './forces'
import { columns, CROWD_HEIGHT, crowded, height, layered, shape, upright, WIDTH, type Places } from './layout'

const world = makeWorld()
const types = graph(world, new URLSearchParams()) as Graph
const objects = graph(world, new URLSearchParams('objects=1')) as Graph

function forced(g: Graph, before?: Places): Places {
  const forces = new Forces(g.nodes, g.edges, before)
  while (!forces.advance(10));
  return forces.places()
}

const few = () => layered(types.nodes, types.edges)

function nearest(places: Places): number {
  const all = [...places.values()]
  return Math.min(...all.flatMap((a, i) => all.slice(i + 1).map((b) => Math.hypot(a.x - b.x, a.y - b.y))))
}

describe('columns', () => {
  it('puts callers left of whom they call', () => {
    const at = columns(types.nodes, types.edges)
    expect([at.get(''), at.get('ChatClient'), at.get('ChatRoomMgr'), at.get('ChatRoom')]).toEqual([0, 1, 2, 3])
  })
  it('ends when calls go round', () => {
    const nodes = ['a', 'b'].map((id) => ({ ...types.nodes[1]!, id }))
    const ring = [['a', 'b'], ['b', 'a'], ['a', 'a']].map(([from, to]) => ({ ...types.edges[1]!, from: from!, to: to! }))
    expect([...columns(nodes, ring).keys()].sort()).toEqual(['a', 'b'])
  })
})

describe('a layout', () => {
  const both: [string, Graph, Places, number][] = [
    ['of a few', types, few(), height(few())],
    ['of a crowd', objects, forced(objects), CROWD_HEIGHT],
  ]
  for (const [what, g, places, high] of both) {
    it(`${what} places everyone inside the picture, from margin to margin`, () => {
      expect([...places.keys()].sort()).toEqual(g.nodes.map((n) => n.id).sort())
      for (const { x, y } of places.values()) {
        expect(x).toBeGreaterThanOrEqual(0)
        expect(x).toBeLessThanOrEqual(WIDTH)
        expect(y).toBeGreaterThanOrEqual(0)
        expect(y).toBeLessThan(high)
      }
      const across = [...places.values()].map((p) => p.x)
      expect(Math.min(...across)).toBeCloseTo(WIDTH - Math.max(...across))
      expect(Math.min(...across)).toBeLessThan(WIDTH / 8)
    })
  }
  it('parts them', () => {
    expect(nearest(few())).toBeGreaterThan(100)
    expect(nearest(forced(objects))).toBeGreaterThan(4)
  })
  it('is the same each time, however many rounds are done at once', () => {
    const whole = new Forces(objects.nodes, objects.edges)
    expect(whole.advance(1e9)).toBe(true)
    expect([...forced(objects)]).toEqual([...whole.places()])
  })
  it('brings together who call one another', () => {
    const places = forced(objects)
    const length = ({ from, to }: { from: string; to: string }) => Math.hypot(places.get(from)!.x - places.get(to)!.x, places.get(from)!.y - places.get(to)!.y)
    const mean = (of: number[]) => of.reduce((a, b) => a + b) / of.length
    const apart = objects.edges.map((e, i) => ({ from: e.from, to: objects.edges[(i + 67) % objects.edges.length]!.from }))
    expect(mean(objects.edges.map(length))).toBeLessThan(mean(apart.map(length)) / 2)
  })
  it('keeps who stays about where they were', () => {
    const before = forced(objects)
    const nodes = objects.nodes.filter((_, i) => i % 9 !== 4)
    const after = forced({ ...objects, nodes }, before)
    const moved = nodes.map(({ id }) => Math.hypot(before.get(id)!.x - after.get(id)!.x, before.get(id)!.y - after.get(id)!.y)).sort((a, b) => a - b)
    expect(moved[Math.floor(moved.length / 2)]).toBeLessThan(WIDTH / 12)
  })
  it('stands upright in a narrow window, callers above whom they call', () => {
    const { places, width } = upright(few(), 340)
    expect(width).toBe(340)
    const y = (id: string) => places.get(id)!.y
    expect([y(''), y('ChatClient'), y('ChatRoomMgr')]).toEqual([...[y(''), y('ChatClient'), y('ChatRoomMgr')]].sort((a, b) => a - b))
    for (const p of places.values()) expect(p.x > 60 && p.x < 280).toBe(true)
    expect(nearest(places)).toBeGreaterThan(100)
    expect(upright(layered(Array.from({ length: 9 }, (_, i) => ({ ...types.nodes[1]!, id: `${i}` })), []), 340).width).toBeGreaterThan(800)
  })
  it('does not ask how often one calls', () => {
    expect(shape({ ...types, edges: types.edges.map((e) => ({ ...e, calls: e.calls + 1 })) })).toBe(shape(types))
  })
  it('is empty without anyone', () => {
    expect([layered([], []).size, forced({ level: 'objects', nodes: [], edges: [], more: 0 }).size]).toEqual([0, 0])
  })
  it('does not go to and fro between few and a crowd', () => {
    expect([crowded(28, false), crowded(29, false), crowded(25, true), crowded(20, true)]).toEqual([false, true, true, false])
  })
})
