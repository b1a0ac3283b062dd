import { ActionButton } from '../actions/dialog'
import type { Client, ClientPage } from '../api/types'
import { bytes, count, moment } from '../state/format'
import { route } from '../state/router'
import { meta } from '../state/store'
import { Name, NodeLink, ObjectLink } from '../ui/name'
import { Pager } from '../ui/pager'
import { Missing } from '../ui/parts'
import { usePolled } from '../ui/poll'
import { Table, type Column } from '../ui/table'

const LIMIT = 100

const COLUMNS: Column<Client>[] = [
  { head: 'Client', cell: (c) => <ObjectLink id={c.object} most={26} /> },
  { head: 'Node', cell: (c) => <NodeLink incarnation={c.node} /> },
  { head: 'Kind', cell: (c) => c.kind },
  { head: 'Connected since', cell: (c) => moment(c.connected) },
  { head: 'Calls', number: true, cell: (c) => count(c.calls) },
  { head: 'Pushes', number: true, cell: (c) => count(c.pushes) },
  { head: 'Queued', number: true, cell: (c) => `${count(c.queued)}, ${bytes(c.queued_bytes)}` },
  { head: 'Peer', cell: (c) => <Name text={c.peer} most={24} /> },
]

const ACTIONS: Column<Client> = {
  head: 'Action',
  cell: (c) => (
    <ActionButton
      label="Disconnect"
      action={{
        title: 'Disconnect the client',
        explain: 'Its connection ends at once. A client that reconnects by itself comes back.',
        name: 'disconnect',
        body: { object: c.object },
        confirm: c.object,
        done: 'The client is disconnected.',
      }}
    />
  ),
}

export function Clients() {
  const from = Number(route.value.query['offset']) || 0
  const { data, error } = usePolled<ClientPage>('clients', { limit: LIMIT, offset: from })
  return (
    <>
      <h1>Clients</h1>
      {error !== '' && <p class="notice">▲ {error}</p>}
      <Missing nodes={data?.missing ?? []} />
      <Table
        caption="Connected clients"
        columns={meta.value?.actions ? [...COLUMNS, ACTIONS] : COLUMNS}
        rows={data?.clients ?? []}
        id={(c) => c.object}
        empty={data ? 'No client is connected.' : 'Asking…'}
      />
      {data && <Pager offset={from} limit={LIMIT} total={data.total} />}
    </>
  )
}
