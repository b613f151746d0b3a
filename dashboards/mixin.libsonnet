// SPDX-License-Identifier: Apache-2.0
// The monitoring mixin. To change a threshold: (import 'mixin.libsonnet') + { _config+:: { ... } }.
(import 'config.libsonnet') +
(import 'rules.libsonnet') +
(import 'alerts.libsonnet') +
(import 'host.libsonnet')
