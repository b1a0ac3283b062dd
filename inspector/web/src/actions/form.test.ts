import { describe, expect, it } from 'vitest'
import { FORM } from '../../test/world.mjs'
import type { CallForm } from '../api/types'
import { change, FormError, toJSON, type Draft } from './form'

const form = FORM as CallForm
const json = (draft: Draft) => toJSON(form, form.request, draft)

describe('a message', () => {
  it('has only what was set', () => {
    expect(json({})).toEqual({})
    expect(json({ message: 'hi', loud: false })).toEqual({ message: 'hi', loud: false })
  })
  it('has numbers of 32 bits as numbers and of 64 as text', () => {
    expect(json({ times: '3', at: '9007199254740993' })).toEqual({ times: 3, at: '9007199254740993' })
  })
  it('has lists, maps and messages in messages', () => {
    expect(json({ tags: ['a', 'b'], attributes: [['k', 'v'], ['__proto__', 'x']], author: { name: 'A', parent: { name: 'B' } } })).toEqual({
      tags: ['a', 'b'],
      attributes: Object.fromEntries([['k', 'v'], ['__proto__', 'x']]),
      author: { name: 'A', parent: { name: 'B' } },
    })
  })
  it('refuses what is no number', () => {
    const wrong: Draft[] = [{ times: 'x' }, { times: '1.5' }, { times: '' }, { at: '1e3' }]
    for (const draft of wrong) expect(() => json(draft)).toThrow(FormError)
  })
})

describe('a oneof', () => {
  const field = (name: string) => form.request.fields.find((f) => f.json === name)!
  it('keeps only what was set last', () => {
    const first = change(form.request, {}, field('textBody'), 'a')
    expect(change(form.request, first, field('binaryBody'), 'YQ==')).toEqual({ binaryBody: 'YQ==' })
  })
  it('can be taken away', () => {
    expect(change(form.request, { textBody: 'a', message: 'm' }, field('textBody'), undefined)).toEqual({ message: 'm' })
  })
})
