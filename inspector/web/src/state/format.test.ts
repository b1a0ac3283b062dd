import { expect, it } from 'vitest'
import { bytes, cores, count, micros, millis, plural, rate, typeOf } from './format'

it('writes numbers short', () => {
  expect([0, 7, 1234, 12_345, 3_400_000, 0.25].map(count)).toEqual(['0', '7', '1,234', '12.3 k', '3.4 M', '0.25'])
  expect([count(6276.4), count(123.6), cores(1.6), cores(null)]).toEqual(['6,276', '124', '1.60', '–'])
  expect([count(null), rate(null), micros(null), millis(null), bytes(null)]).toEqual(['–', '–', '–', '–', '–'])
})

it('writes times with the unit that fits', () => {
  expect([micros(12), micros(1500), millis(0.25), millis(59_000), millis(61_000), millis(3_700_000), millis(-5)]).toEqual([
    '12 µs', '1.5 ms', '250 µs', '59 s', '1 min 1 s', '1 h 1 min', '−5 ms',
  ])
})

it('writes sizes and plurals', () => {
  expect([bytes(12), bytes(2048), bytes(5 * 1024 ** 2)]).toEqual(['12 B', '2 KiB', '5 MiB'])
  expect([plural(1, 'node'), plural(3, 'node')]).toEqual(['1 node', '3 nodes'])
})

it('knows an object’s type by its id', () => {
  expect(['ChatRoom-a-b', 'ChatRoom-', 'ChatRoom'].map(typeOf)).toEqual(['ChatRoom', 'ChatRoom', 'ChatRoom'])
})
