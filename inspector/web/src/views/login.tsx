import { useState } from 'preact/hooks'
import { post } from '../api/http'
import { signedIn } from '../state/store'

export function Login() {
  const [token, setToken] = useState('')
  const [error, setError] = useState('')
  async function enter(event: Event): Promise<void> {
    event.preventDefault()
    try {
      await post('login', { token })
      await signedIn()
    } catch (err) {
      setError((err as Error).message)
    }
  }
  return (
    <main class="login">
      <form onSubmit={(e) => void enter(e)}>
        <h1>GoVerse inspector</h1>
        <p>This inspector asks for the token that it printed when it started.</p>
        <label>
          Token
          <input type="password" autoComplete="current-password" value={token} onInput={(e) => setToken(e.currentTarget.value)} />
        </label>
        {error !== '' && (
          <p class="notice" role="alert">
            ■ {error}
          </p>
        )}
        <button type="submit" class="primary">
          Sign in
        </button>
      </form>
    </main>
  )
}
