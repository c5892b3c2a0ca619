//! diffusers folders, as diffusers and transformers write them, into packages and networks.

mod common;

use std::fs;
use std::path::Path;

use burn::module::{Module, ModuleVisitor, Param, ParamId};
use burn::tensor::{Device, Tensor};
use common::{copy_of, edit_header, edit_json, entry, fixture};
use plantain_weights::{
    Component, Components, ConvertError, ConvertOptions, ConvertReport, FloatType, LoadError,
    Model, Target, TargetType, TensorProblem, convert, expected_tensors, load_module, read_tensors,
    write_tensors,
};
use serde_json::{Value, json};
use tempfile::TempDir;

const UNET_FILE: &str = "unet/diffusion_pytorch_model.fp16.safetensors";

fn converted(source: &Path, options: &ConvertOptions) -> (TempDir, ConvertReport, Model) {
    let folder = TempDir::new().unwrap();
    let package = folder.path().join("model.safetensors");
    let report = convert(&Model::open(source).unwrap(), &package, options, &|| false).unwrap();
    let model = Model::open(&package).unwrap();
    (folder, report, model)
}

fn refused(source: &Path) -> Vec<TensorProblem> {
    let folder = TempDir::new().unwrap();
    let package = folder.path().join("model.safetensors");
    let error = convert(
        &Model::open(source).unwrap(),
        &package,
        &ConvertOptions::default(),
        &|| false,
    )
    .unwrap_err();
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    match error {
        ConvertError::Refused(report) => report.problems,
        other => panic!("{other}"),
    }
}

#[test]
fn every_layout_converts_and_loads() {
    let target = Target::stock(Device::flex());
    for name in ["modern", "sharded", "turbo"] {
        let (_folder, report, model) = converted(&fixture(name), &ConvertOptions::default());
        assert_eq!(report.problems, [], "{name}");
        assert_eq!(report.tensors, model.tensors().len());
        assert_eq!(&report.manifest, model.manifest());
        model.load_unet(&target).unwrap();
        model.load_decoder(&target).unwrap();
        model.load_encoder(&target).unwrap();
        assert!(model.load_refiner(&target).unwrap().is_none());
        assert_eq!(name != "sharded", model.load_text_encoder(&target).is_ok());
        assert_eq!(name != "sharded", model.tokenizer_json().is_some());
    }
}

/// Writes the weights of the autoencoder in `folder` again without the tensors that `dropped` names.
fn without(folder: &Path, dropped: fn(&str) -> bool) {
    let weights = folder.join("vae/diffusion_pytorch_model.safetensors");
    let mut tensors = read_tensors(&weights).unwrap();
    tensors.retain(|name, _| !dropped(name));
    write_tensors(&weights, &tensors).unwrap();
}

#[test]
fn an_autoencoder_may_come_without_its_encoder() {
    let folder = copy_of("turbo");
    // The convolution behind the encoder may be left.
    without(folder.path(), |name| name.starts_with("encoder."));
    let (_folder, report, model) = converted(folder.path(), &ConvertOptions::default());
    assert_eq!(report.problems, []);
    assert_eq!(model.manifest().components.vae_encoder, None);
    let target = Target::stock(Device::flex());
    model.load_decoder(&target).unwrap();
    let error = model.load_encoder(&target).unwrap_err().to_string();
    assert!(error.contains("vae_encoder"), "{error}");
}

#[test]
fn an_encoder_that_lacks_a_tensor_is_refused_by_convert_and_by_nothing_else() {
    let folder = copy_of("modern");
    without(folder.path(), |name| name == "encoder.layers.2.weight");
    let problems = refused(folder.path());
    assert_eq!(problems.len(), 1, "{problems:?}");
    let missing = problems[0].to_string();
    assert!(
        missing.contains("vae_encoder.encoder.stages.1.conv.weight"),
        "{missing}"
    );
    let model = Model::open(folder.path()).unwrap();
    let target = Target::stock(Device::flex());
    model.load_decoder(&target).unwrap();
    model.load_encoder(&target).unwrap_err();
}

/// Packages from before encoders were kept.
#[test]
fn a_manifest_without_an_encoder_is_read() {
    let json = json!({"vae": {"_class_name": "AutoencoderTiny"}});
    let components: Components = serde_json::from_value(json).unwrap();
    assert_eq!(components.vae_encoder, None);
    assert!(components.vae.is_some());
}

/// Values and ids of all float parameters, in module order.
#[derive(Default)]
struct Values(Vec<(ParamId, Vec<f32>)>);

impl ModuleVisitor for Values {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let values = param.val().into_data().try_to_vec().unwrap();
        self.0.push((param.id, values));
    }
}

#[test]
fn loaded_parameters_have_the_stored_values() {
    let model = Model::open(&fixture("modern")).unwrap();
    let decoder = model.load_decoder(&Target::stock(Device::flex())).unwrap();
    let expected = expected_tensors(&decoder, "vae");
    assert_eq!(expected, model.expected_tensors(Component::Vae));
    let mut loaded = Values::default();
    decoder.visit(&mut loaded);
    assert_eq!(loaded.0.len(), expected.len());
    for ((_, values), tensor) in loaded.0.iter().zip(&expected) {
        let stored = model.tensors().get(&tensor.name).unwrap();
        assert_eq!(stored.shape, tensor.shape);
        let halves = stored.bytes().as_chunks().0.iter();
        let stored: Vec<f32> = halves
            .map(|b| half::f16::from_le_bytes(*b).to_f32())
            .collect();
        assert_eq!(values, &stored, "{}", tensor.name);
    }
    // Loading once more keeps the parameters' ids.
    let mut again = Values::default();
    load_module(decoder, model.tensors(), "vae")
        .unwrap()
        .visit(&mut again);
    assert_eq!(loaded.0, again.0);
}

#[test]
fn a_folder_read_in_place_equals_its_package() {
    for name in ["modern", "sharded", "turbo"] {
        let folder = Model::open(&fixture(name)).unwrap();
        let (_folder, report, package) = converted(&fixture(name), &ConvertOptions::default());
        assert_eq!(folder.tokenizer_json(), package.tokenizer_json());
        assert_eq!(folder.manifest().components, package.manifest().components);
        assert_eq!(folder.manifest().sampler, package.manifest().sampler);
        assert_eq!(folder.manifest().defaults, package.manifest().defaults);
        let needed = Component::ALL.map(|c| package.expected_tensors(c)).concat();
        assert_eq!(needed.len(), report.tensors);
        for tensor in needed {
            let (a, b) = (
                folder.tensors().get(&tensor.name),
                package.tensors().get(&tensor.name),
            );
            let (a, b) = (a.unwrap(), b.unwrap());
            assert_eq!(
                (a.shape, a.float_type(), a.bytes()),
                (b.shape, b.float_type(), b.bytes())
            );
        }
    }
}

#[test]
fn manifest_says_where_the_model_comes_from() {
    let (_folder, report, _) = converted(&fixture("modern"), &ConvertOptions::default());
    let provenance = report.manifest.provenance;
    assert_eq!(provenance.layout, "diffusers");
    assert!(provenance.tool.starts_with("plantain "));
    let unet = provenance
        .sources
        .iter()
        .find(|s| s.path == UNET_FILE)
        .unwrap();
    assert_eq!(
        unet.bytes,
        fs::metadata(fixture("modern").join(UNET_FILE))
            .unwrap()
            .len()
    );
    assert_eq!(unet.sha256.len(), 64);
    assert!(
        provenance
            .sources
            .iter()
            .any(|s| s.path == "tokenizer/vocab.json")
    );
}

#[test]
fn conversion_is_reproducible() {
    let (first, ..) = converted(&fixture("turbo"), &ConvertOptions::default());
    let (second, ..) = converted(&fixture("turbo"), &ConvertOptions::default());
    let read = |folder: &TempDir| fs::read(folder.path().join("model.safetensors")).unwrap();
    assert!(read(&first) == read(&second));
}

#[test]
fn packages_satisfy_the_reference_reader() {
    let (folder, report, _) = converted(&fixture("modern"), &ConvertOptions::default());
    let bytes = fs::read(folder.path().join("model.safetensors")).unwrap();
    let tensors = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    assert_eq!(tensors.len(), report.tensors);
}

#[test]
fn numbers_convert_between_types() {
    let name = "unet.conv_in.weight";
    let wide = ConvertOptions {
        dtype: TargetType::F32,
        ..ConvertOptions::default()
    };
    let (folder, _, model) = converted(&fixture("modern"), &wide);
    assert!(
        model
            .tensors()
            .iter()
            .all(|(_, t)| t.float_type() == Some(FloatType::F32))
    );
    let narrow = ConvertOptions {
        dtype: TargetType::F16,
        ..ConvertOptions::default()
    };
    let (_again, report, back) = converted(&folder.path().join("model.safetensors"), &narrow);
    let source = Model::open(&fixture("modern")).unwrap();
    let bytes = |model: &Model| model.tensors().get(name).unwrap().bytes().to_vec();
    assert_eq!(bytes(&source), bytes(&back));
    assert_eq!(report.manifest.provenance, model.manifest().provenance);
    let brain = ConvertOptions {
        dtype: TargetType::Bf16,
        ..ConvertOptions::default()
    };
    let (_brain, _, model) = converted(&fixture("modern"), &brain);
    assert!(
        model
            .tensors()
            .iter()
            .all(|(_, t)| t.float_type() == Some(FloatType::Bf16))
    );
}

#[test]
fn tokenizers_agree_with_transformers() {
    let ids: Value = serde_json::from_slice(&fs::read(fixture("token_ids.json")).unwrap()).unwrap();
    for (name, folder) in [("end_of_text", "modern"), ("exclamation", "turbo")] {
        let (_folder, _, model) = converted(&fixture(folder), &ConvertOptions::default());
        let info = model.manifest().tokenizer.as_ref().unwrap();
        assert_eq!(json!(info.pad_token_id), ids[name]["pad"]);
        assert_eq!(info.max_length, 16);
        let tokenizer: tokenizers::Tokenizer = model.tokenizer_json().unwrap().parse().unwrap();
        for case in ids[name]["prompts"].as_array().unwrap() {
            let text = case["text"].as_str().unwrap();
            let encoded = tokenizer.encode(text, true).unwrap();
            assert_eq!(json!(encoded.get_ids()), case["ids"], "{name}: {text}");
        }
    }
}

#[test]
fn a_tokenizer_json_is_kept_without_its_padding() {
    let (_folder, _, built) = converted(&fixture("modern"), &ConvertOptions::default());
    let folder = copy_of("modern");
    let mut tokenizer: Value = serde_json::from_str(built.tokenizer_json().unwrap()).unwrap();
    tokenizer["truncation"] =
        json!({"direction": "Right", "max_length": 5, "strategy": "LongestFirst", "stride": 0});
    let path = folder.path().join("tokenizer/tokenizer.json");
    fs::write(&path, tokenizer.to_string()).unwrap();
    fs::remove_file(folder.path().join("tokenizer/vocab.json")).unwrap();
    let model = Model::open(folder.path()).unwrap();
    assert_eq!(model.tokenizer_json(), built.tokenizer_json());
    fs::remove_file(&path).unwrap();
    let error = Model::open(folder.path()).unwrap_err().to_string();
    assert!(
        error.contains("neither tokenizer.json nor vocab.json"),
        "{error}"
    );
}

#[test]
fn misnamed_tensors_are_reported_with_a_suggestion() {
    let folder = copy_of("modern");
    edit_header(&folder.path().join(UNET_FILE), |header| {
        let tensors = header.as_object_mut().unwrap();
        let tensor = tensors.remove("conv_norm_out.weight").unwrap();
        tensors.insert("conv_norm_oot.weight".to_string(), tensor);
    });
    let problems = refused(folder.path());
    let missing = TensorProblem::Missing {
        name: "unet.conv_norm_out.weight".to_string(),
        shape: vec![8],
        suggestion: Some("unet/conv_norm_oot.weight".to_string()),
    };
    let unused = TensorProblem::Unused {
        name: "unet/conv_norm_oot.weight".to_string(),
        shape: vec![8],
        suggestion: Some("unet.conv_norm_out.weight".to_string()),
    };
    assert_eq!(problems, [missing, unused]);

    let partial = ConvertOptions {
        allow_partial: true,
        ..ConvertOptions::default()
    };
    let (_partial, report, model) = converted(folder.path(), &partial);
    assert_eq!(report.problems, problems);
    let error = model.load_unet(&Target::stock(Device::flex())).unwrap_err();
    let LoadError::Tensors { problems, .. } = &error else {
        panic!("{error}")
    };
    assert_eq!(problems.len(), 1);
    assert!(
        error.to_string().contains("unet.conv_norm_out.weight"),
        "{error}"
    );
    model.load_decoder(&Target::stock(Device::flex())).unwrap();
}

#[test]
fn misshaped_tensors_are_reported() {
    let folder = copy_of("modern");
    edit_header(&folder.path().join(UNET_FILE), |header| {
        header["conv_in.weight"]["shape"] = json!([4, 8, 3, 3]);
    });
    let problem = TensorProblem::Misshaped {
        name: "unet.conv_in.weight".to_string(),
        expected: vec![8, 4, 3, 3],
        found: vec![4, 8, 3, 3],
    };
    assert_eq!(refused(folder.path()), [problem]);
    let error = Model::open(folder.path())
        .unwrap()
        .load_unet(&Target::stock(Device::flex()))
        .unwrap_err();
    assert!(
        error
            .to_string()
            .contains("[4, 8, 3, 3] instead of [8, 4, 3, 3]"),
        "{error}"
    );
}

#[test]
fn weights_that_are_not_numbers_are_refused() {
    let folder = copy_of("modern");
    let path = folder.path().join(UNET_FILE);
    let (header, _) = common::split(&fs::read(&path).unwrap());
    let start = header["conv_in.weight"]["data_offsets"][0]
        .as_u64()
        .unwrap() as usize;
    let mut bytes = fs::read(&path).unwrap();
    let data = 8 + u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    bytes[data + start..data + start + 2].copy_from_slice(&[0xff, 0x7f]);
    fs::write(&path, bytes).unwrap();
    let problem = TensorProblem::NonFinite {
        name: "unet.conv_in.weight".to_string(),
    };
    assert_eq!(refused(folder.path()), [problem]);
    let error = Model::open(folder.path())
        .unwrap()
        .load_unet(&Target::stock(Device::flex()))
        .unwrap_err();
    assert!(
        error
            .to_string()
            .contains("`unet.conv_in.weight` holds NaN"),
        "{error}"
    );
}

#[test]
fn integer_weights_are_refused() {
    let folder = copy_of("modern");
    edit_header(&folder.path().join(UNET_FILE), |header| {
        header["conv_in.weight"]["dtype"] = json!("I16");
    });
    let problem = TensorProblem::NotFloat {
        name: "unet.conv_in.weight".to_string(),
        dtype: "I16".to_string(),
    };
    assert_eq!(refused(folder.path()), [problem]);
}

#[test]
fn the_source_is_not_overwritten() {
    let folder = copy_of("modern");
    let path = folder.path().join(UNET_FILE);
    let before = fs::read(&path).unwrap();
    let error = convert(
        &Model::open(folder.path()).unwrap(),
        &path,
        &ConvertOptions::default(),
        &|| false,
    )
    .unwrap_err();
    assert!(matches!(error, ConvertError::OverSource { .. }), "{error}");
    assert!(before == fs::read(&path).unwrap());
}

#[test]
fn a_failed_write_leaves_nothing() {
    let folder = TempDir::new().unwrap();
    let occupied = folder.path().join("model.safetensors");
    fs::create_dir_all(occupied.join("something")).unwrap();
    let options = ConvertOptions::default();
    let error = convert(
        &Model::open(&fixture("modern")).unwrap(),
        &occupied,
        &options,
        &|| false,
    )
    .unwrap_err();
    assert!(matches!(error, ConvertError::Write { .. }), "{error}");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    let nowhere = folder.path().join("nowhere/model.safetensors");
    let error = convert(
        &Model::open(&fixture("modern")).unwrap(),
        &nowhere,
        &options,
        &|| false,
    )
    .unwrap_err();
    assert!(error.to_string().contains("nowhere"), "{error}");
}

#[test]
fn options_rename_the_model() {
    let options = ConvertOptions {
        name: Some("renamed".to_string()),
        license: Some("MIT".to_string()),
        description: Some("Small.".to_string()),
        ..ConvertOptions::default()
    };
    let (_folder, _, model) = converted(&fixture("turbo"), &options);
    let manifest = model.manifest();
    assert_eq!(manifest.name, "renamed");
    assert_eq!(manifest.license.as_deref(), Some("MIT"));
    assert_eq!(manifest.description.as_deref(), Some("Small."));
}

#[test]
fn styles_and_a_plain_ground_are_kept_in_mind() {
    let folder = copy_of("turbo");
    edit_json(&folder.path().join("model.json"), |card| {
        card["plain_ground"] = json!(true);
        card["subjects"] = json!([["fox"], ["pie chart"]]);
        card["styles"] = json!([["3d render", "3d"], ["cartoon"]]);
        card["subject_styles"] = json!([[0, 1], [1]]);
    });
    let (_folder, _, model) = converted(folder.path(), &ConvertOptions::default());
    assert!(model.manifest().plain_ground);
    assert_eq!(model.manifest().styles_of("fox"), ["3d render", "cartoon"]);
    assert_eq!(model.manifest().styles_of("pie chart"), ["cartoon"]);
    assert_eq!(model.manifest().styles[0], ["3d render", "3d"]);
    let (_folder, _, other) = converted(&fixture("turbo"), &ConvertOptions::default());
    assert_ne!(model.fingerprint(), other.fingerprint());
}

#[test]
fn styles_of_subjects_have_to_be_there() {
    for styles in [json!([[0]]), json!([[0], []]), json!([[0], [1]])] {
        let folder = copy_of("turbo");
        edit_json(&folder.path().join("model.json"), |card| {
            card["subjects"] = json!([["fox"], ["pie chart"]]);
            card["styles"] = json!([["cartoon"]]);
            card["subject_styles"] = styles.clone();
        });
        let error = Model::open(folder.path()).unwrap_err().to_string();
        assert!(error.contains("`subject_styles`"), "{error}");
        assert!(error.contains("model.json"), "{error}");
    }
}

#[test]
fn a_refiner_comes_along() {
    let folder = copy_of("modern");
    let unet = fs::read_to_string(folder.path().join("unet/config.json")).unwrap();
    let mut refiner = json!({"scale": 2, "num_blocks": 1});
    refiner["unet"] = serde_json::from_str(&unet).unwrap();
    refiner["unet"]["out_channels"] = refiner["unet"]["block_out_channels"][0].clone();
    add_network(folder.path(), Component::Refiner, &refiner);
    let (_folder, _, model) = converted(folder.path(), &ConvertOptions::default());
    let target = Target::stock(Device::flex());
    assert!(model.load_refiner(&target).unwrap().is_some());
    let defaults = &model.manifest().defaults;
    assert_eq!((defaults.width, defaults.height), (32, 32), "enlarged");
    let mut components = model.manifest().components.clone();
    assert!(components.validate().is_ok());
    components.refiner.as_mut().unwrap().unet.out_channels += 1;
    let error = components.validate().unwrap_err().to_string();
    assert!(error.contains("refiner"), "{error}");
}

/// Gives the model in `folder` a component whose weights are all zero.
fn add_network(folder: &Path, component: Component, config: &Value) {
    let network = folder.join(component.folder());
    fs::create_dir(&network).unwrap();
    fs::write(network.join("config.json"), config.to_string()).unwrap();
    let weights = network.join("diffusion_pytorch_model.safetensors");
    fs::write(&weights, common::safetensors("{}", &[])).unwrap();
    let expected = Model::open(folder).unwrap().expected_tensors(component);
    let (mut header, mut end) = (serde_json::Map::new(), 0);
    for tensor in &expected {
        let shape: Vec<u64> = tensor.shape.iter().map(|&d| d as u64).collect();
        let length = 2 * shape.iter().product::<u64>();
        let prefix = format!("{component}.");
        let name = tensor.name.strip_prefix(&prefix).unwrap().to_string();
        header.insert(name, entry("F16", &shape, end, end + length));
        end += length;
    }
    let (header, data) = (Value::Object(header).to_string(), vec![0; end as usize]);
    fs::write(&weights, common::safetensors(&header, &data)).unwrap();
}
