import 'uplot/dist/uPlot.min.css'
import './styles/base.css'
import './styles/layout.css'
import './styles/parts.css'
import './styles/graph.css'
import { render } from 'preact'
import { App } from './app'
import { watchRoute } from './state/router'
import { start } from './state/store'
import { watchTheme } from './ui/theme'

watchTheme()
watchRoute()
void start()
const root = document.getElementById('app')!
root.textContent = ''
render(<App />, root)
