// SPDX-License-Identifier: Apache-2.0
// Bundles the page that draws dashboards: node bundle.mjs OUTPUT. It runs where node_modules is.
import esbuild from 'esbuild';

// Grafana's modules are ESM, some of what they import is CommonJS made by Babel. In Node's way of mixing the two, which esbuild
// follows, `import x` gives all of its exports; they mean the one called `default`.
const babelDefaults = {
  name: 'babel-defaults',
  setup(build) {
    build.onResolve({ filter: /^[^./]/ }, async (wanted) => {
      if (wanted.pluginData === 'resolved' || !/@grafana\/[\w-]+\/dist\/esm/.test(wanted.importer)) return undefined;
      const found = await build.resolve(wanted.path, {
        importer: wanted.importer, resolveDir: wanted.resolveDir, kind: 'require-call', pluginData: 'resolved',
      });
      if (found.errors.length || found.external || found.path.endsWith('.mjs') || !/\.c?js$/.test(found.path)) return undefined;
      return { path: found.path, namespace: 'babel-defaults' };
    });
    build.onLoad({ filter: /.*/, namespace: 'babel-defaults' }, (file) => ({
      resolveDir: file.path.replace(/\/[^/]+$/, ''),
      contents: `const all = require(${JSON.stringify(file.path)});
        const isBabel = all && all.__esModule && all.default && /function|object/.test(typeof all.default);
        module.exports = !isBabel ? all : Object.isExtensible(all.default) ? Object.assign(all.default, all) : all.default;`,
    }));
  },
};

await esbuild.build({
  entryPoints: ['page/main.tsx'],
  outfile: process.argv[2],
  bundle: true,
  minify: true,
  logLevel: 'error',
  define: { 'process.env.NODE_ENV': '"production"', global: 'window' },
  loader: { '.ttf': 'dataurl', '.woff': 'dataurl', '.woff2': 'dataurl', '.svg': 'dataurl', '.png': 'dataurl' },
  plugins: [babelDefaults],
});
