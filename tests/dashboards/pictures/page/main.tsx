// SPDX-License-Identifier: Apache-2.0
// Draws window.stage's dashboard on Grafana's grid, and tells in window.drawn what became of each panel.
import React from 'react';
import { createRoot } from 'react-dom/client';
import { createTheme, ThemeContext } from '@grafana/data';
import * as ui from '@grafana/ui';
import { dressed } from './fields';
import { kindOf } from './panels';
import { framesOf, interpolate, Stage } from './query';

const { GlobalStyles, PanelChrome, PortalContainer } = ui as any;
const stage: Stage = (window as any).stage;
const drawn: Record<number, { title: string; problem: string }> = ((window as any).drawn = {});
const theme = createTheme({ colors: { mode: 'dark' } });
const WIDTH = 1600, ROW = 30, GAP = 8;

const place = ({ x, y, w, h }: any): React.CSSProperties => ({
  position: 'absolute', left: GAP + (x * (WIDTH - GAP)) / 24, top: GAP + y * (ROW + GAP),
  width: (w * (WIDTH - GAP)) / 24 - GAP, height: h * (ROW + GAP) - GAP,
});

class Guard extends React.Component<any, { problem?: string }> {
  state: { problem?: string } = {};
  componentDidCatch(error: Error) {
    this.props.failed(`drawing it failed: ${error.message}`);
    this.setState({ problem: error.message });
  }
  render() {
    return this.state.problem ? <pre>{this.state.problem}</pre> : this.props.children;
  }
}

function Panel({ panel }: any) {
  const [frames, setFrames] = React.useState<any[]>();
  const failed = (problem: string) => { drawn[panel.id] = { title: panel.title, problem }; };
  React.useEffect(() => {
    framesOf(panel, stage).then((found) => dressed(panel, found, theme)).then((done) => {
      failed(done.some((frame) => frame.length > 0) ? '' : 'empty');
      setFrames(done);
    }).catch((error) => failed(error.message));
  }, []);
  const { width, height } = place(panel.gridPos) as { width: number; height: number };
  const Kind = kindOf(panel);
  return <div style={place(panel.gridPos)} data-panel={panel.id}>
    <PanelChrome title={panel.title} description={panel.description} width={width} height={height} padding="md">
      {(innerWidth: number, innerHeight: number) => <Guard failed={failed}>
        {frames?.some((frame) => frame.length > 0) &&
          <Kind panel={panel} frames={frames} stage={stage} theme={theme} width={innerWidth} height={innerHeight} />}
      </Guard>}
    </PanelChrome>
  </div>;
}

function Row({ panel }: any) {
  return <div style={{ ...place(panel.gridPos), color: theme.colors.text.primary, fontSize: 16, fontWeight: 500, lineHeight: '30px' }}>
    ⌄ {interpolate(panel.title, stage)}
  </div>;
}

function Head() {
  const chosen = Object.entries(stage.variables).map(([name, value]) => `${name}: ${/^\.[*+]$/.test(value) ? 'All' : value}`);
  return <div style={{ padding: '10px 12px 2px', color: theme.colors.text.primary }}>
    <span style={{ fontSize: 18, marginRight: 24 }}>{stage.dashboard.title}</span>
    <span style={{ color: theme.colors.text.secondary }}>{chosen.join('   ·   ')}</span>
  </div>;
}

function Dashboard() {
  const { panels } = stage.dashboard;
  const bottom = Math.max(...panels.map(({ gridPos }: any) => gridPos.y + gridPos.h));
  return <div style={{ background: theme.colors.background.canvas, width: WIDTH }}>
    <Head />
    <div style={{ position: 'relative', height: bottom * (ROW + GAP) + 2 * GAP }}>
      {panels.map((panel: any) => (panel.type === 'row' ? <Row key={panel.id} panel={panel} /> : <Panel key={panel.id} panel={panel} />))}
    </div>
  </div>;
}

document.body.style.margin = '0';
createRoot(document.getElementById('root')!).render(
  <ThemeContext.Provider value={theme}><PortalContainer /><GlobalStyles /><Dashboard /></ThemeContext.Provider>
);
