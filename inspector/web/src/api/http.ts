// Requests of the inspector's API. Paths are relative to the page, so that it
// works under a path prefix.

/** A refusal by the API, or a server that does not answer (status 0). */
export class ApiError extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    message: string,
  ) {
    super(message)
  }
}

export type Query = Record<string, string | number | boolean | undefined>

/** A query string of what is set; true is 1, false and empty are left out. */
export function query(values: Query): string {
  const params = new URLSearchParams()
  for (const [key, value] of Object.entries(values)) {
    if (value === undefined || value === '' || value === false) continue
    params.set(key, value === true ? '1' : String(value))
  }
  const text = params.toString()
  return text === '' ? '' : `?${text}`
}

async function answer<T>(path: string, init: RequestInit): Promise<T> {
  let response: Response
  try {
    response = await fetch(path, { ...init, credentials: 'same-origin' })
  } catch (err) {
    if (init.signal?.aborted) throw err
    throw new ApiError(0, 'Unavailable', 'The inspector does not answer.')
  }
  if (!response.ok) throw await refusal(response)
  return (await response.json().catch(() => null)) as T
}

async function refusal(response: Response): Promise<ApiError> {
  const body: unknown = await response.json().catch(() => null)
  const told = (body as { error?: { code?: string; message?: string } } | null)?.error
  return new ApiError(response.status, told?.code ?? 'Unknown', told?.message ?? `The inspector answered ${response.status}.`)
}

/** Why a stream is refused, which an EventSource does not tell; empty: it is not, or nothing answers. */
export async function whyRefused(path: string): Promise<string> {
  const stop = new AbortController()
  try {
    const response = await fetch(path, { credentials: 'same-origin', signal: stop.signal })
    return response.ok ? '' : (await refusal(response)).message
  } catch {
    return ''
  } finally {
    stop.abort()
  }
}

export function get<T>(path: string, values: Query = {}, signal?: AbortSignal): Promise<T> {
  return answer<T>(`api/${path}${query(values)}`, signal ? { signal } : {})
}

export function post<T>(path: string, body: unknown): Promise<T> {
  return answer<T>(`api/${path}`, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify(body),
  })
}
