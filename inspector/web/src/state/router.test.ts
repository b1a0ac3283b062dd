import { expect, it } from 'vitest'
import { HOSTILE } from '../../test/world.mjs'
import { href, parseRoute } from './router'

it('begins at the overview', () => {
  expect(parseRoute('')).toEqual({ view: 'overview', args: [], query: {} })
  expect(parseRoute('#/')).toEqual({ view: 'overview', args: [], query: {} })
})

it('finds any name again, as an argument and as a filter', () => {
  for (const name of HOSTILE) {
    expect(parseRoute(href('object', [name], { prefix: name }))).toEqual({ view: 'object', args: [name], query: { prefix: name } })
  }
})

it('takes a broken address as it is', () => {
  expect(parseRoute('#/object/%E0%A4').args).toEqual(['%E0%A4'])
})

it('leaves out filters that are not set', () => {
  expect(href('objects', [], { type: '', sort: 'calls' })).toBe('#/objects?sort=calls')
})
