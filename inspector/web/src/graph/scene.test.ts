import { describe, expect, it, vi } from 'vitest'
import { graph, makeWorld } from '../../test/world.mjs'
import type { Graph } from '../api/types'
import { Forces } from './forces'
import type { Places } from './layout'
import { ROUNDS_A_FRAME, Scene } from './scene'

const objects = graph(makeWorld(), new URLSearchParams('objects=1')) as Graph
const first = objects.nodes[0]!.id

function settled(scene: Scene): number {
  let frames = 0
  while (!scene.settled && frames < 1000) {
    scene.step()
    frames++
  }
  return frames
}

describe('a scene', () => {
  it('does a bounded part of the layout in a frame', () => {
    const advance = vi.spyOn(Forces.prototype, 'advance')
    const scene = new Scene(() => false)
    scene.update(objects)
    expect(settled(scene)).toBeGreaterThan(10)
    expect(Math.max(...advance.mock.calls.map(([rounds]) => rounds))).toBe(ROUNDS_A_FRAME)
    advance.mockRestore()
  })
  it('stands still at once where motion is not wanted', () => {
    const scene = new Scene(() => true)
    scene.update(objects)
    expect(scene.step()).toBe(true)
    const before = [...scene.crowd(1000).places]
    scene.step()
    expect([...scene.crowd(1000).places]).toEqual(before)
    expect(scene.settled).toBe(true)
  })
  it('comes to rest, and lays out again only when somebody comes, goes or calls another', () => {
    const scene = new Scene(() => false)
    scene.update(objects)
    settled(scene)
    expect(scene.step()).toBe(false)
    const before = [...scene.crowd(1000).places]
    scene.update({ ...objects, edges: objects.edges.map((e) => ({ ...e, calls: e.calls + 1 })) })
    expect(scene.step()).toBe(true) // rates are drawn
    expect([...scene.crowd(1000).places]).toEqual(before)
    scene.update({ ...objects, nodes: objects.nodes.slice(1) })
    settled(scene)
    expect(scene.crowd(1000).places.has(first)).toBe(false)
  })
  it('glides: nobody jumps to where it comes to stand', () => {
    const scene = new Scene(() => false)
    scene.update(objects)
    settled(scene)
    const before = scene.crowd(1000).places
    scene.update({ ...objects, nodes: objects.nodes.slice(1) })
    scene.step()
    const first = scene.crowd(1000).places
    settled(scene)
    const last = scene.crowd(1000).places
    const way = (to: Places, id: string) => Math.hypot(to.get(id)!.x - before.get(id)!.x, to.get(id)!.y - before.get(id)!.y)
    const farthest = [...last.keys()].sort((a, b) => way(last, b) - way(last, a)).slice(0, 5)
    for (const id of farthest) expect(way(first, id)).toBeLessThan(way(last, id) / 2)
  })
  it('finds who is pointed at, at any size', () => {
    const scene = new Scene(() => true)
    scene.update(objects)
    scene.step()
    for (const width of [640, 1500]) {
      const crowd = scene.crowd(width)
      const { x, y } = crowd.places.get(first)!
      expect(scene.at(crowd, x + 2, y - 2)!.id).toBe(first)
      expect(scene.at(crowd, -100, -100)).toBeNull()
    }
  })
  it('leads keys from the busiest on, and forgets who has left', () => {
    const scene = new Scene(() => true)
    scene.update(objects)
    expect(scene.from(null, 1)!.id).toBe(first)
    expect(scene.from(first, 1)!.calls).toBe(390)
    expect(scene.from(first, -1)!.id).toBe(first)
    expect(scene.from(first, Infinity)!.calls).toBe(20)
    scene.choose(first)
    expect(scene.crowd(640).named[0]!.id).toBe(first)
    scene.update({ ...objects, nodes: objects.nodes.slice(1) })
    expect(scene.chosen).toBeNull()
  })
})
