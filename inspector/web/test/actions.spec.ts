import AxeBuilder from '@axe-core/playwright'
import { expect, open, test, VIEWS } from './page'
import { HOSTILE } from './world.mjs'

const NODE = 'n1-5f3a90b1'

test('without -actions nothing offers to act', async ({ page, mock }) => {
  for (const view of ['node', 'shards', 'object', 'clients']) {
    await open(page, mock, VIEWS[view]!)
    await expect(page.locator('button.danger')).toHaveCount(0)
    await expect(page.getByText('Call a method')).toHaveCount(0)
  }
})

test.describe('with -actions', () => {
  test.use({ options: { actions: true } })

  test('a node is drained once its name is typed', async ({ page, mock }) => {
    await open(page, mock, VIEWS['node']!)
    await page.getByRole('button', { name: 'Drain the node…' }).click()
    const dialog = page.getByRole('dialog')
    const go = dialog.getByRole('button', { name: 'Drain the node' })
    await expect(go).toBeDisabled()
    await dialog.getByLabel('Confirmation').fill(NODE.slice(0, -1))
    await expect(go).toBeDisabled()
    const found = await new AxeBuilder({ page }).analyze()
    expect(found.violations.map((v) => v.id)).toEqual([])
    await dialog.getByLabel('Confirmation').fill(NODE)
    await go.click()
    await expect(page.getByText('The node drains.')).toBeVisible()
    await expect(dialog).toHaveCount(0)
    expect(mock.state.actionsDone).toEqual([{ name: 'drain', node: NODE, confirm: NODE }])
  })

  test('a drain can be ended where there is one, and a stop cannot', async ({ page, mock }) => {
    await open(page, mock, VIEWS['node']!)
    const [drain, end] = ['Drain the node…', 'End the drain…'].map((name) => page.getByRole('button', { name }))
    const told = page.getByRole('main').getByRole('status')
    for (const [state, wanted, drains, ends, says] of [
      ['live', false, 1, 0, ''],
      ['draining', true, 0, 1, 'An operator wants it empty'],
      ['stopping', false, 0, 0, 'It is being stopped'],
      ['stopping', true, 0, 1, 'It is being stopped'],
      ['suspect', true, 0, 1, 'An operator wants it empty'],
      ['fenced', false, 1, 0, ''],
      ['gone', true, 0, 0, ''],
    ] as const) {
      mock.become(0, state, wanted)
      await expect(page.getByRole('heading', { level: 1 }), state).toContainText(state)
      await expect(drain!, `${state}, ${wanted}`).toHaveCount(drains)
      await expect(end!, `${state}, ${wanted}`).toHaveCount(ends)
      await (says === '' ? expect(told).toHaveCount(0) : expect(told).toContainText(says))
    }
    mock.become(0, 'stopping', true)
    const found = await new AxeBuilder({ page }).analyze()
    expect(found.violations.map((v) => v.id)).toEqual([])
    await end!.click()
    await expect(page.getByRole('dialog')).toContainText('It is being stopped, and leaves all the same.')
  })

  test('Escape and Cancel do nothing', async ({ page, mock }) => {
    await open(page, mock, VIEWS['node']!)
    await page.getByRole('button', { name: 'Drain the node…' }).click()
    await page.getByLabel('Confirmation').fill(NODE)
    await page.keyboard.press('Escape')
    await expect(page.getByRole('dialog')).toHaveCount(0)
    await page.getByRole('button', { name: 'Drain the node…' }).click()
    await expect(page.getByLabel('Confirmation')).toHaveValue('')
    await page.getByRole('button', { name: 'Cancel' }).click()
    await expect(page.getByRole('dialog')).toHaveCount(0)
    expect(mock.state.actionsDone).toEqual([])
  })

  test('an object with a hostile name is deactivated', async ({ page, mock }) => {
    const id = HOSTILE[2]!
    await open(page, mock, `#/object/${encodeURIComponent(id)}`)
    await page.getByRole('button', { name: 'Deactivate the object…' }).click()
    await page.getByLabel('Confirmation').fill(id)
    await page.getByRole('dialog').getByRole('button', { name: 'Deactivate the object' }).click()
    await expect(page.getByText('The object was deactivated.')).toBeVisible()
    expect(mock.state.actionsDone).toEqual([{ name: 'deactivate', id, confirm: id }])
  })

  test('a shard is moved', async ({ page, mock }) => {
    await open(page, mock, VIEWS['shards']!)
    await page.getByLabel('Shard', { exact: true }).fill('9')
    await page.getByLabel('Move shard 9 to').selectOption('10.0.0.3:7000')
    await page.getByRole('button', { name: 'Move shard 9…' }).click()
    await expect(page.getByRole('dialog')).toContainText('The shard is pinned there')
    await page.getByLabel('Confirmation').fill('9')
    await page.getByRole('dialog').getByRole('button', { name: 'Move shard 9' }).click()
    await expect(page.getByText('Shard 9 has moved.')).toBeVisible()
    expect(mock.state.actionsDone).toEqual([{ name: 'move', shard: 9, to: 'n3-5f3a90b3', confirm: '9' }])
  })

  test('a client is disconnected', async ({ page, mock }) => {
    await open(page, mock, VIEWS['clients']!)
    await page.getByRole('button', { name: 'Disconnect…' }).nth(1).click()
    await page.getByLabel('Confirmation').fill('ChatClient-c1')
    await page.getByRole('dialog').getByRole('button', { name: 'Disconnect the client' }).click()
    await expect(page.getByText('The client is disconnected.')).toBeVisible()
    expect(mock.state.actionsDone).toEqual([{ name: 'disconnect', object: 'ChatClient-c1', confirm: 'ChatClient-c1' }])
  })

  test('a method is called by a form of its request', async ({ page, mock }) => {
    const id = 'ChatRoom-room-00000'
    await open(page, mock, `#/object/${encodeURIComponent(id)}`)
    const panel = page.getByRole('region', { name: 'Call a method' })
    await panel.getByLabel('Method').selectOption('SendChatMessage')
    await panel.getByLabel('message', { exact: true }).fill('hello')
    await panel.getByLabel('times', { exact: true }).fill('three')
    await panel.getByRole('button', { name: 'Add to tags' }).click()
    await panel.getByLabel('tags 1', { exact: true }).fill('loud')
    await panel.getByLabel('Set author').check()
    await panel.getByLabel('name', { exact: true }).fill('Ann')
    await panel.getByLabel('mood', { exact: true }).selectOption('CROSS')
    await panel.getByLabel('loud', { exact: true }).check()
    const go = panel.getByRole('button', { name: 'Call SendChatMessage' })
    await expect(go).toBeDisabled()
    await panel.getByLabel('To confirm').fill(id)
    await go.click()
    await expect(panel.getByRole('alert')).toContainText('“three” is no int32')
    await panel.getByLabel('times', { exact: true }).fill('3')
    await go.click()
    await expect(panel.getByText('Answered in 1.5 ms.')).toBeVisible()
    expect(mock.state.actionsDone).toEqual([
      { name: 'call', id, method: 'SendChatMessage', confirm: id, request: { message: 'hello', times: 3, tags: ['loud'], author: { name: 'Ann' }, mood: 'CROSS', loud: true } },
    ])
  })

  test('fields are sent though they are empty, with keys alone', async ({ page, mock }) => {
    const id = 'ChatRoom-room-00000'
    await open(page, mock, `#/object/${encodeURIComponent(id)}`)
    const panel = page.getByRole('region', { name: 'Call a method' })
    await panel.getByLabel('Method').selectOption('SendChatMessage')
    const set = (name: string) => panel.getByRole('checkbox', { name: `Set ${name}` })
    for (const name of ['author', 'text_body', 'nickname', 'most', 'quiet']) {
      await set(name).focus()
      await page.keyboard.press('Space')
      await expect(set(name)).toBeChecked()
      await expect(set(name)).toBeFocused()
    }
    await set('binary_body').press('Space')
    await expect(set('text_body')).not.toBeChecked()
    await panel.getByLabel('nickname', { exact: true }).fill('N')
    await panel.getByLabel('nickname', { exact: true }).fill('')
    await expect(set('nickname')).toBeChecked()
    await panel.getByLabel('most', { exact: true }).fill('')
    const found = await new AxeBuilder({ page }).analyze()
    expect(found.violations.map((v) => v.id)).toEqual([])
    await panel.getByLabel('To confirm').fill(id)
    const go = panel.getByRole('button', { name: 'Call SendChatMessage' })
    await go.click()
    await expect(panel.getByRole('alert')).toContainText('most: “” is no int32')
    await set('most').press('Space')
    await go.click()
    await expect(panel.getByText('Answered in 1.5 ms.')).toBeVisible()
    expect(mock.state.actionsDone).toEqual([
      { name: 'call', id, method: 'SendChatMessage', confirm: id, request: { author: {}, binaryBody: '', nickname: '', quiet: false } },
    ])
  })

  test('a call whose reply cannot be shown is told of as executed', async ({ page, mock }) => {
    const id = 'ChatRoom-not-in-memory'
    mock.state.callAnswer = { reply: null, took: 2, problem: 'The call was executed, but its reply cannot be shown: <b>unknown</b>.', raw: 'CgNhYmM=' }
    await open(page, mock, `#/object/${encodeURIComponent(id)}`)
    await expect(page.getByText('It is not in memory.')).toBeVisible()
    const panel = page.getByRole('region', { name: 'Call a method' })
    await panel.getByLabel('Method').selectOption('SendChatMessage')
    await panel.getByLabel('To confirm').fill(id)
    await panel.getByRole('button', { name: 'Call SendChatMessage' }).click()
    const status = panel.getByRole('status')
    await expect(status).toContainText('The call was executed, but its reply cannot be shown: <b>unknown</b>.')
    await expect(status.locator('pre')).toHaveText('CgNhYmM=')
    expect(mock.state.actionsDone).toMatchObject([{ name: 'call', id }])
  })

  test('an action that ends late closes no other’s dialog', async ({ page, mock }) => {
    let end = () => {}
    mock.state.hold = new Promise((resolve) => (end = resolve))
    await open(page, mock, VIEWS['clients']!)
    await page.getByRole('button', { name: 'Disconnect…' }).nth(1).click()
    await page.getByLabel('Confirmation').fill('ChatClient-c1')
    await page.getByRole('dialog').getByRole('button', { name: 'Disconnect the client' }).click()
    await expect(page.getByRole('dialog').getByRole('button', { name: 'Working…' })).toBeVisible()
    await page.keyboard.press('Escape')
    await expect(page.getByRole('dialog')).toHaveCount(0)
    await page.getByRole('button', { name: 'Disconnect…' }).nth(2).click()
    await page.getByLabel('Confirmation').fill('ChatClient-c')
    end()
    await expect(page.getByText('The client is disconnected.')).toBeVisible()
    await expect(page.getByLabel('Confirmation')).toHaveValue('ChatClient-c')
  })

  test('a refusal is told of and nothing is lost', async ({ page, mock }) => {
    await open(page, mock, VIEWS['node']!)
    await page.getByRole('button', { name: 'Drain the node…' }).click()
    mock.state.actions = false
    await page.getByLabel('Confirmation').fill(NODE)
    await page.getByRole('dialog').getByRole('button', { name: 'Drain the node' }).click()
    await expect(page.getByRole('alert')).toContainText('actions are off')
    await expect(page.getByLabel('Confirmation')).toHaveValue(NODE)
  })
})

test.describe('with a token', () => {
  test.use({ options: { token: 'secret' } })
  test('nothing is shown before it is given', async ({ page, mock }) => {
    await page.goto(mock.url)
    await expect(page.getByRole('heading', { name: 'GoVerse inspector' })).toBeVisible()
    await page.getByLabel('Token').fill('wrong')
    await page.getByRole('button', { name: 'Sign in' }).click()
    await expect(page.getByRole('alert')).toContainText('That is not the token.')
    expect(mock.state.streams.size).toBe(0)
    const found = await new AxeBuilder({ page }).analyze()
    expect(found.violations.map((v) => v.id)).toEqual([])
    await page.getByLabel('Token').fill('secret')
    await page.getByRole('button', { name: 'Sign in' }).click()
    await expect(page.getByRole('heading', { name: 'Overview' })).toBeVisible()
    await expect(page.locator('.status')).toContainText('live')
  })
})
