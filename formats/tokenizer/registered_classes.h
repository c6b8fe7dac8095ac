// What transformers 5.15 knows of models and tokenizer classes, as far as it decides how a tokenizer.json is read
// (models/auto/tokenization_auto.py). tests/oracle/tokenizer_folders_test.py compares every entry with the package.
#pragma once

#include <string_view>

namespace strata::tokenizer::registered {

// Types of models (model_type of config.json), separated by spaces. Those whose tokenizer.json is taken as it is:
inline constexpr std::string_view as_they_are =
    "EvollaModel arctic aria bigbird_pegasus camembertv2-base chameleon chatlm cohere_asr deepseek_ocr "
    "deepseek_ocr2 deepseek_v2 deepseek_v3 deepseek_v32 deepseek_v4 deepseek_vl deepseek_vl_hybrid deepseek_vl_v2 "
    "ernie4_5 ernie4_5_moe flex_olmo fuyu glm glm4 glm4_moe glm4_moe_lite glm4v glm4v_moe glm_image glmasr "
    "got_ocr2 gpt_bigcode granite granitemoe granitemoehybrid granitemoeshared h2ovl_chat hyperclovax "
    "hyperclovax_vlm internlm2 jamba janus kimi_k25 kosmos-2 llava llava_next mimo_v2_flash minicpm3 minicpmv "
    "minicpmv4_6 minimax_m2 ministral ministral3 mistral mistral3 mixtral modernbert molmo molmo2 nemotron nvfp4 "
    "nystromformer olmo2 olmo3 olmo_hybrid opencua openvla paddleocr_vl pegasus_x persimmon phi3 phi3_v phimoe "
    "pix2struct pixtral smolvlm stablelm step3_vl step3p5 umt5 vipllava vision-encoder-decoder voxtral "
    "voxtral_realtime xlm-roberta-xl";

// Those for which the class that the model's own files name is known to be wrong, so that it does not count.
inline constexpr std::string_view with_wrong_class =
    "arctic camembertv2-base chameleon chatlm cohere_asr deepseek_ocr deepseek_ocr2 deepseek_v2 deepseek_v3 "
    "deepseek_v32 deepseek_v4 deepseek_vl deepseek_vl_hybrid deepseek_vl_v2 ernie4_5 ernie4_5_moe fuyu h2ovl_chat "
    "hyperclovax hyperclovax_vlm internlm2 jamba janus llava llava_next minicpm3 minicpmv minimax_m2 modernbert "
    "molmo molmo2 nemotron nvfp4 opencua openvla paddleocr_vl phi3 phi3_v phimoe qwen2 smolvlm step3_vl step3p5 "
    "vipllava vision-encoder-decoder";

// By the class that is registered for them.
inline constexpr std::string_view qwen2 =
    "audioflamingo3 colqwen2 cosmos3_omni hunyuan_vl internvl lighton_ocr ovis2 qianfan_ocr qwen2 qwen2_5_omni "
    "qwen2_5_vl qwen2_audio qwen2_moe qwen2_vl qwen3 qwen3_asr qwen3_moe qwen3_next qwen3_omni_moe qwen3_vl "
    "qwen3_vl_moe";
inline constexpr std::string_view gpt2 =
    "blip-2 codegen dbrx emu3 gpt2 gpt_neo gptj instructblip instructblipvideo jais2 opt phi starcoder2";
inline constexpr std::string_view gpt_neox = "falcon_mamba gpt_neox mamba mamba2 mpt olmo olmoe rwkv xlstm";
inline constexpr std::string_view gemma =
    "diffusion_gemma gemma gemma2 gemma3 gemma3_text gemma3n gemma3n_text recurrent_gemma shieldgemma2 t5gemma "
    "zaya";

// Those with a class that is not known here.
inline constexpr std::string_view other_types =
    "aimv2 albert align aya_vision bark bart barthez bartpho bert bert-generation bert-japanese bertweet big_bird "
    "biogpt blenderbot blenderbot-small blip bridgetower bros byt5 camembert canine chinese_clip clap clip "
    "clipseg clvp code_llama cohere cohere2 convbert cpm cpmant ctrl data2vec-audio data2vec-text deberta "
    "deberta-v2 dia distilbert dpr electra ernie esm fastspeech2_conformer flaubert flava florence2 fnet fsmt "
    "funnel git gpt-sw3 gpt_neox_japanese grounding-dino groupvit herbert hubert ibert jina_embeddings_v3 "
    "lasr_ctc lasr_encoder layoutlm layoutlmv2 layoutlmv3 layoutxlm led lilt longformer luke lxmert m2m_100 "
    "marian markuplm mbart mbart50 mega megatron-bert metaclip_2 mgp-str mluke mm-grounding-dino mobilebert mpnet "
    "mra mt5 musicgen musicgen_melody mvp myt5 nemotron3_5_asr nemotron_asr_streaming nezha nllb nllb-moe "
    "nomic_bert nougat omdet-turbo oneformer openai-gpt owlv2 owlvit parakeet_ctc parakeet_rnnt parakeet_tdt "
    "pegasus perceiver phobert plbart pp_formulanet prophetnet qdqbert rag realm reformer rembert retribert "
    "roberta roberta-prelayernorm roc_bert roformer sam3 sam3_video seamless_m4t seamless_m4t_v2 siglip siglip2 "
    "speech_to_text speecht5 splinter squeezebert switch_transformers t5 tapas tipsv2 trocr tvp udop unispeech "
    "unispeech-sat videoprism vilt visual_bert vits wav2vec2 wav2vec2-bert wav2vec2-conformer wav2vec2_phoneme "
    "whisper xclip xglm xlm xlm-roberta xlnet xmod yoso";

// Classes of transformers that read a folder by rules which are not known here, without "Fast" at the end.
inline constexpr std::string_view other_classes =
    "AlbertTokenizer BartTokenizer BarthezTokenizer BartphoTokenizer BasicTokenizer BertGenerationTokenizer "
    "BertJapaneseTokenizer BertTokenizer BertTokenizerLegacy BertweetTokenizer BigBirdTokenizer BioGptTokenizer "
    "BlenderbotSmallTokenizer BlenderbotTokenizer ByT5Tokenizer CLIPTokenizer CTRLTokenizer CamembertTokenizer "
    "CanineTokenizer CharacterTokenizer ClvpTokenizer CodeGenTokenizer CodeLlamaTokenizer CohereTokenizer "
    "ConvBertTokenizer CpmAntTokenizer CpmTokenizer DPRContextEncoderTokenizer DPRQuestionEncoderTokenizer "
    "DPRReaderTokenizer DebertaTokenizer DebertaV2Tokenizer DiaTokenizer DistilBertTokenizer EsmTokenizer "
    "FNetTokenizer FSMTTokenizer FastSpeech2ConformerTokenizer FlaubertTokenizer FunnelTokenizer "
    "GPTNeoXJapaneseTokenizer GPTSw3Tokenizer HerbertTokenizer HiggsAudioV2TokenizerConfig "
    "HiggsAudioV2TokenizerModel HiggsAudioV2TokenizerPreTrainedModel LEDTokenizer LasrTokenizer "
    "LayoutLMv2Tokenizer LayoutLMv3Tokenizer LayoutXLMTokenizer LukeTokenizer LxmertTokenizer M2M100Tokenizer "
    "MBart50Tokenizer MBartTokenizer MLukeTokenizer MPNetTokenizer MarianTokenizer MarkupLMTokenizer "
    "MecabTokenizer MgpstrTokenizer MistralCommonTokenizer MobileBertTokenizer MvpTokenizer MyT5Tokenizer "
    "NllbTokenizer NougatTokenizer OpenAIGPTTokenizer PLBartTokenizer ParakeetTokenizer PegasusTokenizer "
    "PerceiverTokenizer PhobertTokenizer Pop2PianoTokenizer ProphetNetTokenizer RagTokenizer ReformerTokenizer "
    "RemBertTokenizer RoCBertTokenizer RoFormerTokenizer RobertaTokenizer SeamlessM4TTokenizer "
    "SentencePieceBackend Siglip2Tokenizer SiglipTokenizer Speech2TextTokenizer SpeechT5Tokenizer "
    "SplinterTokenizer SqueezeBertTokenizer T5Tokenizer TapasTokenizer Tipsv2Tokenizer UdopTokenizer "
    "VibeVoiceAcousticTokenizerConfig VibeVoiceAcousticTokenizerDecoderConfig "
    "VibeVoiceAcousticTokenizerDecoderModel VibeVoiceAcousticTokenizerEncoderConfig "
    "VibeVoiceAcousticTokenizerEncoderModel VibeVoiceAcousticTokenizerFeatureExtractor "
    "VibeVoiceAcousticTokenizerModel VibeVoiceAcousticTokenizerPreTrainedModel VideoPrismTokenizer VitsTokenizer "
    "Wav2Vec2CTCTokenizer Wav2Vec2PhonemeCTCTokenizer WhisperTokenizer WordpieceTokenizer XGLMTokenizer "
    "XLMRobertaTokenizer XLMTokenizer XLNetTokenizer";

}  // namespace strata::tokenizer::registered
