import { describe, expect, it } from 'vitest'
import { graph, makeWorld } from '../../test/world.mjs'
import type { Graph } from '../api/types'
import { columns, height, layout, shape, WIDTH } from './layout'

const world = makeWorld()
const types = graph(world, new URLSearchParams()) as Graph
const objects = graph(world, new URLSearchParams('objects=1')) as Graph

function nearest(g: Graph): number {
  const all = [...layout(g).values()]
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

describe('layout', () => {
  it('places everyone inside the picture, apart from one another', () => {
    for (const g of [types, objects]) {
      const places = layout(g)
      expect(places.size).toBe(g.nodes.length)
      for (const { x, y } of places.values()) {
        expect(x).toBeGreaterThanOrEqual(0)
        expect(x).toBeLessThanOrEqual(WIDTH)
        expect(y).toBeGreaterThanOrEqual(0)
        expect(y).toBeLessThan(height(places))
      }
    }
    // As wide as the picture, but for the margins in which names stand.
    for (const g of [types, objects]) {
      const across = [...layout(g).values()].map((p) => p.x)
      expect(Math.min(...across)).toBeCloseTo(WIDTH - Math.max(...across))
      expect(Math.min(...across)).toBeLessThan(WIDTH / 8)
    }
    expect(nearest(types)).toBeGreaterThan(100)
    expect(nearest(objects)).toBeGreaterThan(4)
  })
  it('is the same each time', () => {
    expect([...layout(objects)]).toEqual([...layout(objects)])
  })
  it('does not ask how often one calls', () => {
    expect(shape({ ...types, edges: types.edges.map((e) => ({ ...e, calls: e.calls + 1 })) })).toBe(shape(types))
  })
  it('is empty without anyone', () => {
    expect(layout({ level: 'types', nodes: [], edges: [], more: 0 }).size).toBe(0)
  })
})
