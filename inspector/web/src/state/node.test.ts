import { expect, it } from 'vitest'
import { makeWorld, node } from '../../test/world.mjs'
import type { ClusterNode } from '../api/types'
import { coarsest, farewell, isSilent, momentary } from './node'

const world = makeWorld()
const made = (extra: Partial<ClusterNode> = {}): ClusterNode => ({ ...(node(world, world.nodes[0], 0) as ClusterNode), ...extra })

it('knows a second’s figures of a node that tells them', () => {
  expect(momentary(made({ calls: 3, errors: 0, cpu: 0.5, waiting: 2 }))).toEqual({ calls: 3, errors: 0, cpu: 0.5, waiting: 2 })
})

it('knows none of a node that is silent or gone', () => {
  const unknown = { calls: null, errors: null, cpu: null, waiting: null }
  for (const n of [made({ silent_for: 2600 }), made({ state: 'gone' })]) expect(momentary(n)).toEqual(unknown)
  expect([isSilent(made({ silent_for: 2600 })), isSilent(made({ silent_for: 9000, state: 'gone' })), isSilent(made())]).toEqual([true, false, false])
})

it('has the coarsest sampling of all', () => {
  expect([coarsest([]), coarsest([made({ sampling: 1 }), made({ sampling: 16 })])]).toEqual([1, 16])
})

it('tells an operator’s wish from a stop', () => {
  const told = (drain: boolean, stopping: boolean) => farewell(made({ drain, stopping })).split(':')[0]
  expect([told(false, false), told(true, false), told(false, true), told(true, true)]).toEqual(['', 'An operator wants it empty', 'It is being stopped', 'It is being stopped'])
})
