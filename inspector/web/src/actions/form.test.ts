import { describe, expect, it } from 'vitest'
import { FORM } from '../../test/world.mjs'
import type { CallForm } from '../api/types'
import { change, empty, fieldsOf, FormError, toJSON, type Draft } from './form'

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
  it('refuses what is no number, and a key that is there twice', () => {
    const wrong: Draft[] = [{ times: 'x' }, { times: '1.5' }, { times: '' }, { at: '1e3' }, { times: 'NaN' }, { attributes: [['k', 'a'], ['k', 'b']] }]
    for (const draft of wrong) expect(() => json(draft)).toThrow(FormError)
  })
})

describe('a message of protobuf’s own', () => {
  const field = (name: string, kind: string, message = '') => ({ ...form.request.fields[0]!, name, json: name, kind, message })
  const own = (name: string, fields = [field('value', 'string')]) => ({ name: `google.protobuf.${name}`, fields })
  const written = (name: string, typed: string, kind = 'string') => toJSON(form, own(name, [field('value', kind)]), typed === '' ? {} : { value: typed })

  it('is the value that it wraps', () => {
    expect([written('StringValue', 'x'), written('Int32Value', '7', 'int32'), written('BoolValue', '')]).toEqual(['x', 7, false])
  })
  it('is written as people write it', () => {
    const times = own('Timestamp', [field('seconds', 'int64'), field('nanos', 'int32')])
    expect(fieldsOf(times).map((f) => f.kind)).toEqual(['string'])
    expect(toJSON(form, times, { value: '2026-01-05T12:00:00Z' })).toBe('2026-01-05T12:00:00Z')
  })
  it('is any JSON', () => {
    expect(toJSON(form, own('Struct', [field('fields', 'message')]), { value: '{"a": [1, null]}' })).toEqual({ a: [1, null] })
    expect(() => toJSON(form, own('Value'), { value: '{' })).toThrow(FormError)
  })
  it('is that inside of others too', () => {
    const outer = { name: 'x.Outer', fields: [field('at', 'message', 'google.protobuf.Duration'), field('other', 'message', 'google.protobuf.Duration')] }
    const inner = { ...form, messages: { 'google.protobuf.Duration': own('Duration', [field('seconds', 'int64')]) } }
    expect(toJSON(inner, outer, { at: { value: '1.5s' } })).toEqual({ at: '1.5s' })
  })
})

it('has numbers that are none as text', () => {
  const numbers = { name: 'x.N', fields: [{ ...form.request.fields[0]!, name: 'n', json: 'n', kind: 'double' }] }
  expect(['-Infinity', 'NaN', '1e3'].map((n) => toJSON(form, numbers, { n }))).toEqual([{ n: '-Infinity' }, { n: 'NaN' }, { n: 1000 }])
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

describe('a field that can be there and empty', () => {
  const field = (name: string) => form.request.fields.find((f) => f.json === name)!
  it('is sent so when it is set, whatever its kind', () => {
    const draft = ['nickname', 'most', 'quiet', 'author'].reduce((d, name) => change(form.request, d, field(name), empty(field(name))), {} as Draft)
    expect(json(draft)).toEqual({ nickname: '', most: 0, quiet: false, author: {} })
    expect(json(change(form.request, draft, field('nickname'), undefined))).toEqual({ most: 0, quiet: false, author: {} })
  })
  it('is the one of its oneof then', () => {
    expect(json(change(form.request, { textBody: 'a' }, field('binaryBody'), empty(field('binaryBody'))))).toEqual({ binaryBody: '' })
  })
  it('is not null where it is of protobuf’s own messages, which would be none', () => {
    const own = ['StringValue', 'Int64Value', 'DoubleValue', 'Timestamp', 'Duration', 'Struct', 'ListValue', 'Any']
    const outer = { name: 'x.Outer', fields: own.map((name) => ({ ...field('author'), json: name, message: `google.protobuf.${name}` })) }
    const inner = { ...form, messages: Object.fromEntries(own.map((name) => [`google.protobuf.${name}`, { name: `google.protobuf.${name}`, fields: [] }])) }
    const sent = toJSON(inner, outer, Object.fromEntries(own.map((name) => [name, {}])))
    expect(sent).toEqual({ StringValue: '', Int64Value: '0', DoubleValue: 0, Timestamp: '1970-01-01T00:00:00Z', Duration: '0s', Struct: {}, ListValue: [], Any: {} })
  })
})
