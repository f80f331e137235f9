// One self-contained script per page (`--mode viewer`, `--mode gallery`), and one for what the viewer does before all else
// (`--mode early`), under a name without a hash: the server adds the version to its address. OpenSeadragon stays the file that its authors publish, beside it.
import { copyFileSync, mkdirSync } from "node:fs";
import { defineConfig } from "vite";

const assets = "../crates/microtome-server/assets";

function copyOpenSeadragon() {
  mkdirSync(`${assets}/openseadragon`, { recursive: true });
  for (const file of ["LICENSE.txt", "build/openseadragon/openseadragon.min.js"]) {
    copyFileSync(`node_modules/openseadragon/${file}`, `${assets}/openseadragon/${file.split("/").at(-1)}`);
  }
}

export default defineConfig(({ mode }) => ({
  publicDir: false,
  plugins: [{ name: "openseadragon", closeBundle: copyOpenSeadragon }],
  build: {
    outDir: assets,
    emptyOutDir: false,
    target: "es2022",
    lib: { entry: `src/${mode}.ts`, name: mode, formats: ["iife"], fileName: () => `${mode}.js` },
    rolldownOptions: { external: ["openseadragon"], output: { globals: { openseadragon: "OpenSeadragon" } } },
  },
}));
