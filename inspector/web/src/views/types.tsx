import type { Method, MethodPoint, ObjectType } from '../api/types'
import { count, micros, moment, plural, rate } from '../state/format'
import { href, route } from '../state/router'
import { types, typesSampling } from '../state/store'
import { MethodCalls, MethodLatency } from '../ui/charts'
import { Histogram } from '../ui/histogram'
import { Name, NodeLink } from '../ui/name'
import { Empty, Estimates, Facts, Figure, Panel, Stack } from '../ui/parts'
import { usePolled } from '../ui/poll'
import { Table } from '../ui/table'

export function Types() {
  const [typeName, methodName] = route.value.args
  const all = types.value
  const type = all?.find((t) => t.name === typeName)
  const method = type?.methods.find((m) => m.name === methodName)
  if (!all) {
    return (
      <>
        <h1>Types</h1>
        <Empty>Listening…</Empty>
      </>
    )
  }
  if (type && method) return <MethodView type={type} method={method} />
  return (
    <>
      <h1>Types and methods</h1>
      <p class="muted">Rates of the last 10 s, latencies with the wait for a turn. Totals since the inspector has started.</p>
      <Estimates sampling={typesSampling.value} />
      {all.length === 0 && <Empty>No types are registered.</Empty>}
      {all.map((t) => (
        <TypePanel key={t.name} type={t} />
      ))}
    </>
  )
}

function TypePanel({ type }: { type: ObjectType }) {
  return (
    <Panel
      title={type.name}
      aside={
        <>
          {type.client && 'client object, '}
          <a href={href('objects', [], { type: type.name })}>{plural(type.objects, 'object')}</a>, {rate(type.calls)}
        </>
      }
    >
      <Table<Method>
        caption={`Methods of ${type.name}`}
        rows={type.methods}
        id={(m) => m.name}
        empty="It has no methods."
        columns={[
          { head: 'Method', cell: (m) => <a href={href('types', [type.name, m.name])}>{m.name}</a> },
          { head: 'Turns', cell: (m) => m.mode },
          { head: 'Calls', number: true, cell: (m) => rate(m.calls) },
          { head: 'Errors', number: true, cell: (m) => (m.errors > 0 ? <b class="bad">▲ {rate(m.errors)}</b> : rate(m.errors)) },
          { head: 'p50', number: true, cell: (m) => micros(m.p50) },
          { head: 'p95', number: true, cell: (m) => micros(m.p95) },
          { head: 'p99', number: true, cell: (m) => micros(m.p99) },
          { head: 'Running', number: true, cell: (m) => count(m.running) },
          { head: 'Total', number: true, cell: (m) => count(m.total_calls) },
          { head: 'Last error', cell: (m) => m.last_error?.code ?? <span class="muted">none</span> },
        ]}
      />
    </Panel>
  )
}

/** Between two questions for what happened each second, in ms. */
const SECOND = 1000

/** A method's last five minutes. */
function Past({ type, method }: { type: string; method: string }) {
  const path = `types/${encodeURIComponent(type)}/methods/${encodeURIComponent(method)}/history`
  const { data, error } = usePolled<{ history: MethodPoint[] }>(path, {}, SECOND)
  const points = data?.history ?? []
  return (
    <>
      {error !== '' && <p class="notice">▲ {error}</p>}
      <div class="columns">
        <MethodCalls points={points} />
        <MethodLatency points={points} />
      </div>
    </>
  )
}

function MethodView({ type, method: m }: { type: ObjectType; method: Method }) {
  const failed = m.last_error
  return (
    <>
      <p>
        <a href={href('types')}>Types</a> / <Name text={type.name} />
      </p>
      <h1>
        {type.name}.{m.name}
      </h1>
      <dl class="figures">
        <Figure label="Calls" value={rate(m.calls)} note={`${count(m.total_calls)} in all`} />
        <Figure label="Errors" value={rate(m.errors)} note={`${count(m.total_errors)} in all`} bad={m.errors > 0} />
        <Figure label="Median" value={micros(m.p50)} note={`p95 ${micros(m.p95)}, p99 ${micros(m.p99)}`} />
        <Figure label="Running" value={count(m.running)} />
      </dl>
      <Estimates sampling={typesSampling.value} />
      <Past type={type.name} method={m.name} />
      <Panel title="Latency, last minute">
        <Histogram counts={m.histogram} label={`${type.name}.${m.name}`} />
      </Panel>
      <Panel title="Signature">
        <Facts
          rows={[
            ['Request', m.request || 'none'],
            ['Reply', m.reply || 'none'],
            ['Turns', m.mode],
          ]}
        />
      </Panel>
      <Panel title="Last error">
        {failed ? (
          <>
            <Facts
              rows={[
                ['Code', failed.code],
                ['When', moment(failed.at)],
                ['Node', <NodeLink incarnation={failed.node} />],
                ['Message', <bdi class="wrap">{failed.message}</bdi>],
              ]}
            />
            <Stack text={failed.stack} />
          </>
        ) : (
          <Empty>None.</Empty>
        )}
      </Panel>
    </>
  )
}
