import { expect, it } from 'vitest'
import { rest } from './poll'

it('asks soon again for what is cheap, and seldom for what is dear', () => {
  expect([[0], [40], [100], [200], [5000]].map((took) => rest(took))).toEqual([400, 400, 1000, 2000, 2000])
})

it('is not led astray by one answer that was late', () => {
  expect(rest([10, 900])).toBe(400)
  expect(rest([10, 100, 100, 100, 100])).toBe(1000)
})

it('asks no sooner for what does not change more often', () => {
  expect([rest([10], 1000), rest([150], 1000)]).toEqual([1000, 1500])
})
