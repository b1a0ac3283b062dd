import { expect, it } from 'vitest'
import { rest } from './poll'

it('asks soon again for what is cheap, and seldom for what is dear', () => {
  expect([0, 40, 100, 200, 5000].map(rest)).toEqual([400, 400, 1000, 2000, 2000])
})
